"""
The queue, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import State, Transition, cancel, fail, retry, succeed
from dispatch_service.domain.work import Lease, Requeue, Settlement, Suspend
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import resends
from dispatch_service.storage.schema import attempts, deliveries, events
from service_runtime.database.engine import writing
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

EXPIRED = Lease("worker-1", timedelta(seconds=-1))
OTHER = Lease("worker-2", timedelta(seconds=45))
SECOND = timedelta(seconds=1)


async def rows(store: AsyncEngine, table: sa.Table) -> list[Any]:
    """
    Read a table.
    """
    async with store.connect() as db:
        return list((await db.execute(sa.select(table))).all())


async def claim(queue: Queue, lease: Lease = OTHER, **over: Any) -> Any:
    """
    Claim with room for all.
    """
    room: dict[str, Any] = {"limit": 100, "per_endpoint": 100, "full": ()}
    return await queue.claim(lease, **(room | over))


async def test_new_event_is_stored_once(queue: Queue, store: AsyncEngine) -> None:
    """
    An event id is stored once; a repeat gets the first accept time and hash.
    """
    event = new_event(new_delivery())

    first = await queue.insert([event], LEASE)
    again = await queue.insert([event], LEASE)

    assert first[event.key].fresh
    assert not again[event.key].fresh
    assert again[event.key].accept_time == first[event.key].accept_time
    assert len(await rows(store, events)) == 1
    assert len(await rows(store, deliveries)) == 1


async def test_group_stores_what_is_new_beside_what_is_known(queue: Queue) -> None:
    """
    Known ids in a group keep nothing else back.
    """
    known, fresh = new_event(), new_event(sha256=b"another")
    await queue.insert([known], LEASE)

    receipts = await queue.insert([fresh, known], LEASE)

    assert receipts[fresh.key].fresh
    assert not receipts[known.key].fresh


async def test_leased_delivery_is_not_claimed_before_its_lease_ends(queue: Queue) -> None:
    """
    A delivery that is stored leased belongs to its process.
    """
    await queue.insert([new_event(new_delivery(leased=True))], LEASE)

    assert await claim(queue) == []


async def test_expired_lease_is_taken_over_with_an_interrupted_attempt(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    The ordinary claim takes over an expired lease and leaves no hole in the log.
    """
    await queue.insert([new_event(new_delivery(leased=True))], EXPIRED)

    (claimed,) = await claim(queue)

    assert (claimed.number, claimed.token, claimed.interrupted) == (2, 2, 1)
    assert claimed.trigger == "RETRY"
    (row,) = await rows(store, attempts)
    assert (row.number, row.status, row.failure_kind) == (1, "INTERRUPTED", "interrupted")


async def test_success_ends_a_delivery_and_logs_the_attempt(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A settled success is final and has its attempt.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    claimed = claimed_of(event)

    ended = await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])

    assert ended.lost == frozenset()
    (row,) = await rows(store, deliveries)
    assert (row.state, row.due_time, row.lease_owner) == ("SUCCEEDED", None, None)
    assert row.end_time is not None
    (logged,) = await rows(store, attempts)
    assert (logged.number, logged.status, logged.response_code) == (1, "SUCCESS", 200)


async def test_retry_becomes_due_after_its_delay(queue: Queue, store: AsyncEngine) -> None:
    """
    A failed attempt puts the delivery back; the log says when it goes on.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    claimed = claimed_of(event)
    failed = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)

    again = retry(1, timedelta(hours=1), FailureKind.TIMEOUT)
    await queue.settle([Settlement(claimed, again, failed)])

    (row,) = await rows(store, deliveries)
    assert (row.state, row.retries_used, row.failure_kind) == ("PENDING", 1, "timeout")
    assert row.wait_reason == "schedule"
    (logged,) = await rows(store, attempts)
    assert logged.next_attempt_time == row.due_time
    assert await claim(queue) == []


async def test_two_results_of_one_delivery_in_one_batch(queue: Queue, store: AsyncEngine) -> None:
    """
    Where a process lost its lease and took the delivery up again, each result finds its own.
    """
    event, other = new_event(new_delivery(leased=True)), new_event(new_delivery(leased=True))
    await queue.insert([event], EXPIRED)
    stale = claimed_of(event)
    (fresh,) = await claim(queue)
    await queue.insert([other], LEASE)
    innocent = claimed_of(other)

    made = [Settlement(it, succeed(0), attempt(it), 200) for it in (stale, fresh, innocent)]
    ended = await queue.settle(made)

    assert ended.lost == {stale.key}
    states = {row.delivery_id: row.state for row in await rows(store, deliveries)}
    assert set(states.values()) == {"SUCCEEDED"}
    logged = sorted((it.number, it.status) for it in await rows(store, attempts))
    assert logged == [(1, "INTERRUPTED"), (1, "SUCCESS"), (2, "SUCCESS")]


async def test_stale_settle_changes_nothing(queue: Queue, store: AsyncEngine) -> None:
    """
    What another worker took over is left alone by the first, which only notes its outcome.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], EXPIRED)
    stale = claimed_of(event)
    (fresh,) = await claim(queue)
    record = attempt(stale, status="FAILURE", failure_kind="http_status", response_code=500)
    again = retry(1, timedelta(hours=1), FailureKind.HTTP_STATUS)

    ended = await queue.settle([Settlement(stale, again, record, 500)])

    assert ended.lost == {stale.key}
    (row,) = await rows(store, deliveries)
    assert (row.state, row.lease_token) == ("DELIVERING", fresh.token)
    (interrupted,) = await rows(store, attempts)
    assert (interrupted.status, interrupted.response_code) == ("INTERRUPTED", 500)
    assert interrupted.error.endswith("Late outcome after 0.0 s: HTTP 500.")


async def test_release_takes_the_attempt_back(queue: Queue) -> None:
    """
    A delivery that was released unsent has used up no attempt.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)

    await queue.release([Requeue(claimed_of(event))])

    (claimed,) = await claim(queue)
    assert (claimed.number, claimed.trigger, claimed.interrupted) == (1, "EVENT", 0)


async def test_suspended_delivery_is_not_claimed(queue: Queue, store: AsyncEngine) -> None:
    """
    A suspended delivery waits until it expires.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)

    await queue.release([Suspend(claimed_of(event), 1)])

    assert await claim(queue) == []
    (row,) = await rows(store, deliveries)
    assert (row.state, row.due_time) == ("PENDING", row.expire_time)


async def test_forced_resend_to_an_inactive_subscription_is_dropped(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    It had succeeded long ago, so there is no time until which it could be suspended.
    """
    event = new_event(new_delivery(leased=True, lifetime=timedelta(seconds=-1)))
    await queue.insert([event], LEASE)
    held = claimed_of(event)
    await queue.settle([Settlement(held, succeed(0), attempt(held), 200)])
    async with writing(store) as db:
        await resends.make_due(db, held.owner, [held.delivery_id], "ann", timedelta(days=4))
    (again,) = await claim(queue)

    await queue.release([Suspend(again, 1)])

    assert await claim(queue) == []
    (row,) = await rows(store, deliveries)
    assert (row.state, row.due_time) == ("SUCCEEDED", None)


@pytest.mark.parametrize("end", [cancel(0), fail(0, FailureKind.POISON)])
async def test_forced_resend_leaves_the_state_whatever_ends_it(
    queue: Queue, store: AsyncEngine, end: Transition
) -> None:
    """
    A delivery that has succeeded stays so when its forced resend is cancelled or fails.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    held = claimed_of(event)
    await queue.settle([Settlement(held, succeed(0), attempt(held), 200)])
    async with writing(store) as db:
        await resends.make_due(db, held.owner, [held.delivery_id], "ann", timedelta(days=4))
    (again,) = await claim(queue)

    await queue.settle([Settlement(again, end, None)])

    (row,) = await rows(store, deliveries)
    assert (row.state, row.failure_kind, row.due_time) == ("SUCCEEDED", None, None)


async def test_claim_takes_turns_between_endpoints(queue: Queue) -> None:
    """
    The backlog of one endpoint does not hide the others, whatever its size.
    """
    busy = [
        new_delivery(subscription=f"busy-{it}", endpoint="https://busy:443") for it in range(50)
    ]
    quiet = new_delivery(subscription="quiet", endpoint="https://quiet:443")
    await queue.insert([new_event(*busy), new_event(quiet)], LEASE)

    claimed = await claim(queue, limit=10, per_endpoint=4)

    assert [it.endpoint for it in claimed].count("https://busy:443") == 4
    assert "https://quiet:443" in {it.endpoint for it in claimed}


async def test_claim_goes_on_where_the_last_one_ended(queue: Queue) -> None:
    """
    With little room each endpoint gets its turn in the end.
    """
    made = [new_delivery(subscription=f"s{n}", endpoint=f"https://e{n}:443") for n in range(5)]
    more = [new_delivery(subscription=f"t{n}", endpoint=f"https://e{n}:443") for n in range(5)]
    await queue.insert([new_event(*made), new_event(*more)], LEASE)

    seen = [it.endpoint for _ in range(5) for it in await claim(queue, limit=2, per_endpoint=1)]

    assert set(seen[:5]) == {f"https://e{n}:443" for n in range(5)}
    assert len(seen) == 10


async def test_full_endpoint_is_passed_over(queue: Queue) -> None:
    """
    An endpoint without room is not given more.
    """
    await queue.insert([new_event(new_delivery())], LEASE)

    full = [("accounts/100", "https://example.com:443")]

    assert await claim(queue, full=full) == []
    assert len(await claim(queue)) == 1


async def test_two_workers_never_claim_the_same(queue: Queue) -> None:
    """
    What one has claimed the other does not get.
    """
    made = [new_delivery(subscription=f"s{n}") for n in range(20)]
    await queue.insert([new_event(*made)], LEASE)

    first = await claim(queue, LEASE, limit=12)
    second = await claim(queue, OTHER)

    ids = [it.delivery_id for it in (*first, *second)]
    assert len(ids) == len(set(ids)) == 20


async def test_claim_carries_the_body(queue: Queue) -> None:
    """
    A claimed delivery comes with its payload, as it was stored.
    """
    await queue.insert([new_event(new_delivery())], LEASE)

    (claimed,) = await claim(queue)

    assert claimed.sealed_body == b"sealed body"
    assert not claimed.expired


async def test_claim_says_that_time_is_up(queue: Queue) -> None:
    """
    A delivery past its lifetime is claimed as expired.
    """
    late = new_delivery(lifetime=timedelta(seconds=-1))
    await queue.insert([new_event(late)], LEASE)

    (claimed,) = await claim(queue)

    assert claimed.expired


async def test_giving_up_without_an_attempt_counts_none(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery that ends unsent has no attempt for it.
    """
    await queue.insert([new_event(new_delivery())], LEASE)
    (claimed,) = await claim(queue)

    await queue.settle([Settlement(claimed, fail(0, FailureKind.EXPIRED), None)])

    (row,) = await rows(store, deliveries)
    assert (row.state, row.attempt_count, row.failure_kind) == (State.FAILED, 0, "expired")
    assert await rows(store, attempts) == []


@pytest.mark.slow
async def test_render_failure_is_stored_as_failed(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery whose payload could not be rendered fails at once, without a body.
    """
    broken = new_delivery(failure_kind="render")
    await queue.insert([new_event(broken, bodies=[])], LEASE)

    (row,) = await rows(store, deliveries)

    assert (row.state, row.failure_kind, row.due_time) == ("FAILED", "render", None)


async def test_waiting_event_is_matched_once(queue: Queue, store: AsyncEngine) -> None:
    """
    What follows from an event that waited for a snapshot is stored once.
    """
    waiting = new_event(matched=False)
    await queue.insert([waiting], LEASE)
    matched = new_event(new_delivery(), event_id=waiting.event_id)

    first = await queue.insert_matches([matched], LEASE)
    second = await queue.insert_matches([matched], LEASE)

    assert set(first) == {waiting.key}
    assert second == {}
    assert len(await rows(store, deliveries)) == 1
    assert [it.match_state for it in await rows(store, events)] == ["MATCHED"]

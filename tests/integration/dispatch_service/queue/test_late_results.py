"""
Results that come after their lease was lost, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import Transition, cancel, fail, retry, succeed
from dispatch_service.domain.work import Claimed, Lease, Release, Requeue, Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import resends
from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.database.engine import writing
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

EXPIRED = Lease("worker-1", timedelta(seconds=-1))
OTHER = Lease("worker-2", timedelta(seconds=45))
HOUR = timedelta(hours=1)


async def row_of(store: AsyncEngine, claimed: Claimed) -> Any:
    """
    Read the row of a delivery.
    """
    mine = deliveries.c.delivery_id == claimed.delivery_id
    async with store.connect() as db:
        return (await db.execute(sa.select(deliveries).where(mine))).one()


async def logged(store: AsyncEngine) -> list[tuple[int, str, int | None]]:
    """
    Read the attempts.
    """
    columns = attempts.c
    query = sa.select(columns.number, columns.status, columns.response_code)
    async with store.connect() as db:
        return [tuple(row) for row in await db.execute(query.order_by(columns.number))]


async def claim(queue: Queue, lease: Lease = OTHER) -> Claimed:
    """
    Claim the one delivery that is due.
    """
    (claimed,) = await queue.claim(lease, limit=100, per_endpoint=100, full=())
    return claimed


async def taken_over(queue: Queue, *, ordered: bool = False) -> tuple[Claimed, Claimed]:
    """
    Store a delivery whose lease is lost to another process; return both leases.
    """
    event = new_event(new_delivery(leased=True, ordered=ordered))
    await queue.insert([event], EXPIRED)
    return claimed_of(event), await claim(queue)


def confirmed(claimed: Claimed) -> Settlement:
    """
    Make the result of an attempt that the receiver confirmed.
    """
    return Settlement(claimed, succeed(0), attempt(claimed), 200)


def refused(claimed: Claimed, transition: Transition) -> Settlement:
    """
    Make the result of an attempt that the receiver refused.
    """
    record = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
    return Settlement(claimed, transition, record)


RETRY = retry(1, HOUR, FailureKind.TIMEOUT)


@pytest.mark.parametrize("transition", [RETRY, fail(1, FailureKind.POISON)])
async def test_delivery_that_another_process_gave_back_succeeds(
    queue: Queue, store: AsyncEngine, transition: Transition
) -> None:
    """
    What the receiver confirmed has succeeded, whatever came of later attempts.
    """
    stale, fresh = await taken_over(queue)
    await queue.settle([refused(fresh, transition)])

    ended = await queue.settle([confirmed(stale)])

    assert ended.lost == {stale.key}
    row = await row_of(store, stale)
    assert (row.state, row.due_time, row.response_code) == ("SUCCEEDED", None, 200)
    assert (row.failure_kind, row.end_time is not None) == (None, True)
    assert await logged(store) == [(1, "INTERRUPTED", 200), (2, "FAILURE", None)]


@pytest.mark.parametrize("end", [RETRY, succeed(0), Requeue])
async def test_delivery_that_another_process_attempts_is_not_attempted_once_more(
    queue: Queue, store: AsyncEngine, end: Any
) -> None:
    """
    It succeeds at once; the other attempt is logged, and nothing follows from it.
    """
    stale, fresh = await taken_over(queue)

    await queue.settle([confirmed(stale)])

    row = await row_of(store, stale)
    assert (row.state, row.lease_owner, row.lease_token) == ("SUCCEEDED", "worker-2", fresh.token)
    if end is Requeue:
        assert await ended_by_release(queue, Requeue(fresh))
    else:
        ended = await queue.settle([refused(fresh, end)])
        assert ended.lost == frozenset()
    row = await row_of(store, stale)
    assert (row.state, row.due_time, row.lease_owner) == ("SUCCEEDED", None, None)
    assert row.attempt_count == len(await logged(store))


async def ended_by_release(queue: Queue, release: Release) -> bool:
    """
    Release a lease; tell whether it was held.
    """
    return (await queue.release([release])).lost == frozenset()


async def test_delivery_whose_next_process_dies_is_not_attempted_once_more(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    The next claim finds nothing left to do.
    """
    stale, _ = await taken_over(queue)
    await queue.settle([confirmed(stale)])
    past: dict[str, Any] = {
        "due_time": sa.literal_column("0" if store.dialect.name == "sqlite" else "now()")
    }
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(past))

    last = await claim(queue)

    assert last.cancelled
    await queue.settle([Settlement(last, cancel(0), None)])
    row = await row_of(store, stale)
    assert (row.state, row.due_time, row.failure_kind) == ("SUCCEEDED", None, None)


async def test_cancelled_delivery_stays_cancelled(queue: Queue, store: AsyncEngine) -> None:
    """
    Whoever cancelled it has been told so; the log has the late outcome.
    """
    stale, fresh = await taken_over(queue)
    await queue.settle([Settlement(fresh, cancel(0), None)])

    await queue.settle([confirmed(stale)])

    assert (await row_of(store, stale)).state == "CANCELLED"
    assert await logged(store) == [(1, "INTERRUPTED", 200)]


async def test_forced_resend_is_still_sent(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery that had succeeded already is due again because somebody asked for it.
    """
    stale, fresh = await taken_over(queue)
    await queue.settle([confirmed(fresh)])
    async with writing(store) as db:
        await resends.make_due(db, stale.owner, [stale.delivery_id], "ann", HOUR)

    await queue.settle([confirmed(stale)])

    assert (await claim(queue)).trigger == "RESEND"


@pytest.mark.parametrize("transition", [RETRY, fail(1, FailureKind.TIMEOUT)])
async def test_late_failure_changes_nothing(
    queue: Queue, store: AsyncEngine, transition: Transition
) -> None:
    """
    Only a confirmation counts without the lease.
    """
    stale, fresh = await taken_over(queue)

    await queue.settle([refused(stale, transition)])

    row = await row_of(store, stale)
    assert (row.state, row.lease_token) == ("DELIVERING", fresh.token)


async def test_head_that_succeeds_late_unblocks_the_next(queue: Queue, store: AsyncEngine) -> None:
    """
    Its sequence goes on in the same transaction.
    """
    stale, fresh = await taken_over(queue, ordered=True)
    following = new_event(new_delivery(ordered=True))
    await queue.insert([following], LEASE)
    await queue.settle([refused(fresh, RETRY)])

    ended = await queue.settle([confirmed(stale)])

    assert ended.unblocked == 1
    assert (await claim(queue)).event_id == following.event_id
    assert (await row_of(store, stale)).state == "SUCCEEDED"

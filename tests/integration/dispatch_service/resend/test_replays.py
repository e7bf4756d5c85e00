"""
Replays of events to a subscription that lacks them, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from google.rpc import status_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import EventNotFound
from dispatch_service.domain.transitions import Trigger, succeed
from dispatch_service.domain.work import Claimed, Settlement
from dispatch_service.intake import prepare
from dispatch_service.intake.bodies import Bodies
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import replays
from dispatch_service.resend.replay_work import ReplayWork
from dispatch_service.routing.subscriptions import Filter
from dispatch_service.storage.schema import attempts, bodies, deliveries, events
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.rpc import names
from service_runtime.rpc.status import read_status
from tests.support.dispatch_factories import LEASE, attempt, subscription
from tests.support.replay_jobs import Replays
from tests.support.running_intake import RunningIntake, running_intake, shipped

pytestmark = pytest.mark.anyio


@pytest.fixture
async def intake(store: AsyncEngine, queue: Queue) -> AsyncIterator[RunningIntake]:
    """
    Yield an intake, which knows no subscription yet.
    """
    async with running_intake(store, queue, most_waiting=1000) as running:
        yield running


@pytest.fixture
def made(store: AsyncEngine, queue: Queue, intake: RunningIntake) -> Replays:
    """
    Return the replays of its database.
    """
    return Replays(store, queue, intake.keys, intake.subscriptions)


def counts(job: Any) -> tuple[str, int, int, int, int]:
    """
    Return the state of a job, and how many of all succeeded, failed and were skipped.
    """
    rest = (job.succeeded_count, job.failed_count, job.skipped_count)
    return (job.state, job.total_count, *rest)


async def claim(queue: Queue) -> list[Claimed]:
    """
    Lease what is due, in the order of the events' ids.
    """
    found = await queue.claim(LEASE, limit=500, per_endpoint=500, full=())
    return sorted(found, key=lambda it: it.event_id)


async def publish(intake: RunningIntake, *event_ids: str, **order: Any) -> None:
    """
    Publish shipped orders, one call each, so that their times of acceptance have an order.
    """
    for event_id in event_ids:
        await intake.accept(shipped(event_id, **order))


async def test_what_is_missing_is_made_once(
    intake: RunningIntake, made: Replays, queue: Queue
) -> None:
    """
    Exactly the events without a delivery get one, which is marked; a second replay makes none.
    """
    await publish(intake, "e1", "e2", "e3")
    await publish(intake, "other", account=200)
    mine = subscription()
    intake.subscriptions.put(mine)
    await publish(intake, "e4")

    done = await made.finish(await made.job(mine))

    assert counts(done) == ("SUCCEEDED", 4, 3, 0, 1)
    assert await made.replayed() == {"e4": False, "e1": True, "e2": True, "e3": True}
    claimed = await claim(queue)
    assert [it.event_id for it in claimed] == ["e1", "e2", "e3"]
    assert {(it.trigger, it.replayed, it.requested_by) for it in claimed} == {
        (Trigger.REPLAY, True, "callers/ann")
    }
    assert all(it.sealed_body for it in claimed)
    assert made.woken == 1

    second = await made.finish(await made.job(mine))

    assert counts(second) == ("SUCCEEDED", 4, 0, 0, 4)
    assert made.woken == 1
    assert len(await made.replayed()) == 4


async def test_count_is_that_of_the_replay(intake: RunningIntake, made: Replays) -> None:
    """
    Only what the filter wants, and is of the kinds, counts and is made.
    """
    for number in range(5):
        event = shipped(f"e{number}")
        event.order_status_changed.order.store.id = 7 + number % 2
        await intake.accept(event)
    mine = subscription(
        event_type="orders/shipped_by_store", filter=Filter(store_ids=frozenset({7}))
    )
    intake.subscriptions.put(mine)
    other_kind = await made.span(kinds=["return_received"])

    wanted = await made.reader.count(mine, await made.span())

    assert await made.reader.count(mine, other_kind) == 0
    done = await made.finish(await made.job(mine))
    assert wanted == 3
    assert counts(done) == ("SUCCEEDED", 5, 3, 0, 2)
    assert await made.reader.count(mine, await made.span()) == 0
    assert counts(await made.finish(await made.job(mine, span=other_kind)))[:2] == ("SUCCEEDED", 0)


@pytest.mark.parametrize("rate", [0, 2])
async def test_order_is_kept(intake: RunningIntake, made: Replays, queue: Queue, rate: int) -> None:
    """
    An ordered subscription gets the events of each resource in the order of their acceptance,
    batch by batch, and behind what it has not confirmed yet.
    """
    for number in (1, 2, 3):
        await publish(intake, f"a{number}", id=1)
        await publish(intake, f"b{number}", id=2)
    mine = subscription(ordered=True)
    intake.subscriptions.put(mine)
    job = await made.job(mine, rate=rate)
    runner = made.runner()
    for _ in range(10):
        await made.all_due()
        if not await runner.run_once():
            break

    arrived: list[list[str]] = []
    while leased := await claim(queue):
        arrived.append([it.event_id for it in leased])
        await queue.settle([Settlement(it, succeed(0), attempt(it)) for it in leased])

    assert arrived == [["a1", "b1"], ["a2", "b2"], ["a3", "b3"]]
    assert counts(await made.reread(job)) == ("SUCCEEDED", 6, 6, 0, 0)


async def test_events_are_chosen_by_name(intake: RunningIntake, made: Replays) -> None:
    """
    Named events are replayed in the order of their acceptance; one that is not there is named.
    """
    await publish(intake, "e1", "e2", "e3")
    mine = subscription()
    intake.subscriptions.put(mine)
    chosen = [names.event(100, it) for it in ("e3", "e1", "e3")]

    span = await made.span(chosen=chosen)
    done = await made.finish(await made.job(mine, span=span))

    assert span.keys == ((100, "e1"), (100, "e3"))
    assert counts(done) == ("SUCCEEDED", 2, 2, 0, 0)
    assert list(await made.replayed()) == ["e1", "e3"]
    with pytest.raises(EventNotFound):
        await made.span(chosen=[names.event(100, "never")])


async def test_warehouse_gets_its_events_of_all_accounts(
    intake: RunningIntake, made: Replays
) -> None:
    """
    A subscription of a warehouse gets the events that name the warehouse.
    """
    for number, warehouse in enumerate(("W1", "W2", "W1")):
        event = shipped(f"e{number}", account=100 + number)
        del event.warehouses[:]
        event.warehouses.append(warehouse)
        await intake.accept(event)
    mine = subscription(owner="warehouses/W1")
    intake.subscriptions.put(mine)

    done = await made.finish(await made.job(mine))

    found = set(await made.replayed())
    assert {"e0", "e2"} <= found
    assert done.succeeded_count == len(found)
    assert counts(await made.finish(await made.job(mine)))[2:4] == (0, 0)


async def test_batches_of_many_processes_make_nothing_twice(
    intake: RunningIntake, made: Replays, store: AsyncEngine
) -> None:
    """
    Two jobs of two processes at the same time make each delivery once.
    """
    await intake.accept(*(shipped(f"e{number}") for number in range(230)))
    mine = subscription()
    intake.subscriptions.put(mine)
    both = [await made.job(mine), await made.job(mine)]

    done = await asyncio.gather(*(made.finish(job) for job in both))

    await made.all_due()
    done = [await made.finish(job) for job in both]
    assert {it.state for it in done} == {"SUCCEEDED"}
    assert sum(it.succeeded_count for it in done) == 230
    async with reading(store) as db:
        query = sa.select(sa.func.count()).select_from(deliveries)
        assert (await db.execute(query)).scalar_one() == 230


async def test_progress_counts_once(
    intake: RunningIntake, made: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A batch that another process has done meanwhile, or whose job was cancelled, stores nothing.
    """
    await publish(intake, "e1")
    mine = subscription()
    intake.subscriptions.put(mine)
    job = await made.job(mine)
    prepared = ReplayWork._prepare

    async def cancelled(self: ReplayWork, engine: AsyncEngine, row: Any) -> Any:
        async with writing(engine) as db:
            await replays.JOBS.cancel(db, (row.owner, row.job_id))
        return await prepared(self, engine, row)

    monkeypatch.setattr(ReplayWork, "_prepare", cancelled)

    done = await made.finish(job)

    assert counts(done) == ("CANCELLED", 1, 0, 0, 0)
    assert await made.replayed() == {}


@pytest.mark.parametrize(
    ("over", "reason"),
    [({"active": False}, "SUBSCRIPTION_INACTIVE"), ({"deleted": True}, "SUBSCRIPTION_DELETED")],
)
async def test_job_fails_with_its_subscription(
    intake: RunningIntake, made: Replays, over: dict[str, Any], reason: str
) -> None:
    """
    A job whose subscription became Inactive or was deleted is FAILED at once, and says why.
    """
    await publish(intake, "e1")
    mine = subscription()
    intake.subscriptions.put(mine)
    job = await made.job(mine)
    intake.subscriptions.put(subscription(revision=2, **over))

    done = await made.finish(job)

    assert counts(done) == ("FAILED", 1, 0, 0, 0)
    assert read_status(status_pb2.Status.FromString(done.error or b"")).reason == reason
    intake.subscriptions.put(subscription(revision=3))
    assert (await made.finish(await made.job(mine))).succeeded_count == 1


@pytest.mark.parametrize("cause", ["held", "backlog"])
async def test_job_waits(intake: RunningIntake, made: Replays, cause: str) -> None:
    """
    A job waits while its subscription is held, and while the backlog takes no more of its events.
    """
    await publish(intake, "e1")
    mine = subscription()
    intake.subscriptions.put(mine)
    job = await made.job(mine)
    if cause == "held":
        intake.subscriptions.hold(mine.name, 1)
    else:
        made.refused = {0: "full"}

    assert counts(await made.finish(job)) == ("RUNNING", 1, 0, 0, 0)

    intake.subscriptions.put(subscription(revision=2))
    made.refused = {}
    await made.all_due()
    assert counts(await made.finish(job)) == ("SUCCEEDED", 1, 1, 0, 0)


async def test_erased_and_unreadable_events(
    intake: RunningIntake, made: Replays, store: AsyncEngine
) -> None:
    """
    An event without its content is skipped; one that cannot be opened has failed.
    """
    await publish(intake, "erased", "broken", "sound")
    mine = subscription()
    intake.subscriptions.put(mine)
    async with writing(store) as db:
        for event_id, sealed in (("erased", None), ("broken", b"\x00\x00\x00\x00broken")):
            change = sa.update(events).where(events.c.event_id == event_id)
            await db.execute(change.values(sealed_payload=sealed))

    assert counts(await made.finish(await made.job(mine))) == ("SUCCEEDED", 3, 1, 1, 1)
    assert list(await made.replayed()) == ["sound"]


async def test_stored_body_is_sent_where_there_is_one(
    intake: RunningIntake, made: Replays, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What cannot be rendered any more is sent as it was stored for another subscription; without
    that it fails, and is counted.
    """
    intake.subscriptions.put(subscription())
    await publish(intake, "stored")
    intake.subscriptions.remove(subscription().name)
    await publish(intake, "never")
    second = subscription(subscription_id="second")
    intake.subscriptions.put(second)

    def unrendered(*_: Any) -> Bodies:
        contract = (second.event_type, second.payload_version)
        return Bodies({contract: None}, frozenset({(second.owner, *contract)}))

    monkeypatch.setattr(prepare, "render_bodies", unrendered)

    assert counts(await made.finish(await made.job(second))) == ("SUCCEEDED", 2, 1, 1, 0)

    mine = deliveries.c.subscription == "second"
    query = sa.select(deliveries.c.event_id, deliveries.c.state).where(mine)
    async with reading(store) as db:
        assert {tuple(row) for row in await db.execute(query)} == {
            ("stored", "PENDING"),
            ("never", "FAILED"),
        }
        stored = await db.execute(sa.select(sa.func.count()).select_from(bodies))
        assert stored.scalar_one() == 1


async def test_what_the_store_refuses_has_failed(
    intake: RunningIntake, made: Replays, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An event that the store refuses stops no other of its batch.
    """
    await publish(intake, "e1", "bad", "e2")
    mine = subscription()
    intake.subscriptions.put(mine)
    stored = queue.insert_missing

    async def refuse_all(*_: Any) -> int:
        raise ValueError("refused for the test")

    async def refuse_one(group: Any, lease: Any) -> int:
        if group[0].event_id == "bad":
            raise ValueError("refused for the test")
        return await stored(group, lease)

    monkeypatch.setattr(queue, "insert_missing_into", refuse_all)
    monkeypatch.setattr(queue, "insert_missing", refuse_one)

    assert counts(await made.finish(await made.job(mine))) == ("SUCCEEDED", 3, 2, 1, 0)
    assert list(await made.replayed()) == ["e1", "e2"]


async def test_interrupted_replay_is_one_in_the_log(
    intake: RunningIntake, made: Replays, queue: Queue, store: AsyncEngine
) -> None:
    """
    The log says of an interrupted first attempt that it was that of a replay; the retry is a
    retry, and still marked.
    """
    await publish(intake, "e1")
    mine = subscription()
    intake.subscriptions.put(mine)
    await made.finish(await made.job(mine))
    assert len(await claim(queue)) == 1
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(due_time=after(timedelta(seconds=-1))))

    (again,) = await claim(queue)

    assert (again.trigger, again.replayed, again.number) == (Trigger.RETRY, True, 2)
    async with reading(store) as db:
        query = sa.select(attempts.c.attempt_trigger, attempts.c.status)
        assert (await db.execute(query)).one() == ("REPLAY", "INTERRUPTED")

"""
Events that were accepted before a process knew a subscription, on both databases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.batches import InFlight
from dispatch_service.domain.work import EventKey, Lease, NewEvent, Receipt
from dispatch_service.feed import held
from dispatch_service.feed.held import HeldReason
from dispatch_service.intake import accepted_events
from dispatch_service.intake.late_batches import LateBatches
from dispatch_service.intake.late_match import Matcher
from dispatch_service.intake.late_subscriptions import PendingSubscriptions
from dispatch_service.intake.match_positions import FeedPosition
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import (
    bodies,
    deliveries,
    event_keys,
    feed_positions,
    held_resources,
)
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import LEASE, subscription
from tests.support.running_intake import RunningIntake, count, running_intake, shipped

pytestmark = pytest.mark.anyio

ALIVE_FOR = timedelta(seconds=20)
LONG_AGO = timedelta(days=1)


@dataclass
class Process:
    """
    The late matches of one process, which has applied the feed up to *position*.
    """

    store: AsyncEngine
    late: LateBatches
    pending: PendingSubscriptions
    index: SubscriptionIndex
    position: FeedPosition = field(default_factory=lambda: FeedPosition(1))
    due: int = 0

    def learn(self, since: datetime, **over: Any) -> None:
        """
        Learn of an Active subscription as the feed's client does.
        """
        made = subscription(matches_since=since, **over)
        self.index.put(made)
        self.pending.add(made.name, since)

    async def run(self) -> None:
        """
        Run until nothing is left to do, a bounded number of times.
        """
        for _ in range(200):
            if not await self.late.run_once():
                return
        raise AssertionError("the late matches do not end")


def process(
    intake: RunningIntake,
    store: AsyncEngine,
    queue: Queue,
    name: str = "here",
    alive_for: timedelta = ALIVE_FOR,
    in_flight: Sequence[InFlight] = (),
) -> Process:
    """
    Make a process with its own subscriptions.
    """
    index = SubscriptionIndex(received=True, complete=True)
    pending = PendingSubscriptions(lambda: None)
    lease = Lease(name, LEASE.duration)

    def became_due() -> None:
        made.due += 1

    late = LateBatches(
        store,
        Matcher(store, queue, intake.keys, index, lease),
        index,
        pending,
        lambda: made.position,
        in_flight,
        name=name,
        alive_for=alive_for,
        became_due=became_due,
    )
    made = Process(store, late, pending, index)
    return made


async def accepted_at(store: AsyncEngine, event_id: str) -> datetime:
    query = sa.select(event_keys.c.accept_time).where(event_keys.c.event_id == event_id)
    async with store.connect() as db:
        found: datetime = (await db.execute(query)).scalar_one()
    return found


async def made_of(store: AsyncEngine) -> list[tuple[str, str]]:
    """
    Return the events and subscriptions of all deliveries, ordered ones by position.
    """
    columns = deliveries.c
    query = sa.select(columns.event_id, columns.subscription)
    async with store.connect() as db:
        rows = await db.execute(query.order_by(columns.sequence_position, columns.event_id))
    return [(row[0], row[1]) for row in rows]


async def test_events_since_the_instant_are_sent(
    intake: RunningIntake, store: AsyncEngine, queue: Queue
) -> None:
    """
    Events that were accepted before a subscription was known get their deliveries, those before
    its instant none.
    """
    here = process(intake, store, queue)
    for event_id in ("e1", "e2", "e3"):
        await intake.accept(shipped(event_id))
        await asyncio.sleep(0.002)
    await intake.accept(shipped("other", account=7))

    here.learn(await accepted_at(store, "e2"))
    await here.run()

    assert await made_of(store) == [("e2", "shipped"), ("e3", "shipped")]
    assert here.due == 1
    async with store.connect() as db:
        row = (await db.execute(sa.select(deliveries))).first()
    assert row is not None
    assert (row.state, row.lease_owner) == ("PENDING", None)
    assert row.due_time <= row.expire_time


async def test_what_has_a_delivery_gets_no_other(
    intake: RunningIntake, store: AsyncEngine, queue: Queue
) -> None:
    """
    Several processes that learn of a subscription, one of which has matched an event with it,
    send each event once.
    """
    await intake.accept(shipped("e1"))
    since = await accepted_at(store, "e1")
    intake.subscriptions.put(subscription(matches_since=since))
    await intake.accept(shipped("e2"))
    everybody = [process(intake, store, queue, name) for name in ("a", "b", "c")]
    for each in everybody:
        each.learn(since)

    await asyncio.gather(*(each.run() for each in everybody))

    assert await made_of(store) == [("e1", "shipped"), ("e2", "shipped")]
    assert await count(store, bodies) == 2


async def test_warehouse_gets_events_of_any_account(
    intake: RunningIntake, store: AsyncEngine, queue: Queue
) -> None:
    """
    Subscriptions of accounts and warehouses share one reading of events.
    """
    here = process(intake, store, queue)
    event = shipped("e1", account=7)
    event.warehouses[:] = ["wq-1"]
    await intake.accept(event)
    since = await accepted_at(store, "e1")

    here.learn(since, owner="warehouses/wq-1", subscription_id="of-warehouse")
    here.learn(since, owner="warehouses/wq-2", subscription_id="of-another")
    here.learn(since, owner="accounts/7", subscription_id="of-account")
    await here.run()

    assert sorted(await made_of(store)) == [("e1", "of-account"), ("e1", "of-warehouse")]


@pytest.mark.slow
async def test_many_events_are_read_in_pages_and_sent_in_order(
    intake: RunningIntake,
    store: AsyncEngine,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Pages end between instants, and deliveries of an ordered subscription have the order of the
    acceptance across pages.
    """
    monkeypatch.setattr(accepted_events.page, "__defaults__", (3,))
    here = process(intake, store, queue)
    ids = [f"e{number:02}" for number in range(10)]
    for event_id in reversed(ids[2:]):
        await intake.accept(shipped(event_id))
        await asyncio.sleep(0.002)
    first, second = shipped(ids[0]), shipped(ids[1])
    first.sequence, second.sequence = 2, 1
    await intake.accept(first, second)

    here.learn(await accepted_at(store, ids[-1]), ordered=True)
    await here.run()

    assert [event_id for event_id, _ in await made_of(store)] == [*ids[:1:-1], ids[1], ids[0]]


class Slow:
    """
    A queue whose inserts wait.
    """

    def __init__(self, queue: Queue) -> None:
        self.may_commit = asyncio.Event()
        self.began = asyncio.Event()
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        self.began.set()
        await self.may_commit.wait()
        return await self._queue.insert(group, lease)


async def test_commits_in_flight_are_waited_for(store: AsyncEngine, queue: Queue) -> None:
    """
    An event that was matched before a subscription was known, and is committed after that, gets
    its delivery.
    """
    slow: Any = Slow(queue)
    async with running_intake(store, slow) as intake:
        here = process(intake, store, queue, in_flight=[intake.waiting.in_flight])
        accepting = asyncio.create_task(intake.accept(shipped("e1")))
        async with asyncio.timeout(20):
            await slow.began.wait()

        async with store.connect() as db:
            since = (await db.execute(sa.select(after(-LONG_AGO)))).scalar_one()
        here.learn(since)
        matching = asyncio.create_task(here.run())
        await asyncio.sleep(0.1)
        assert not matching.done()
        slow.may_commit.set()
        await accepting
        await matching

    assert await made_of(store) == [("e1", "shipped")]


async def test_process_that_ended_too_early_is_taken_over_from(
    intake: RunningIntake, store: AsyncEngine, queue: Queue
) -> None:
    """
    What a process accepted before it knew a change, and did not match late before it ended, is
    matched by another one that has known the change all the time.
    """
    ended = process(intake, store, queue, "ended")
    here = process(intake, store, queue, alive_for=timedelta())
    await ended.run()
    await intake.accept(shipped("e1"))
    here.index.put(subscription(revision=2, matches_since=await accepted_at(store, "e1")))
    here.position = FeedPosition(2, offset=timedelta())

    await here.run()

    assert await made_of(store) == [("e1", "shipped")]
    async with store.connect() as db:
        left = (await db.execute(sa.select(feed_positions.c.name))).scalars().all()
    assert left == ["here"]


async def test_living_process_is_left_alone(
    intake: RunningIntake, store: AsyncEngine, queue: Queue
) -> None:
    """
    A process that is behind matches late itself.
    """
    there, here = process(intake, store, queue, "there"), process(intake, store, queue)
    await there.run()
    await intake.accept(shipped("e1"))
    here.index.put(subscription(revision=2, matches_since=await accepted_at(store, "e1")))

    await here.run()

    assert await made_of(store) == []
    assert await count(store, feed_positions) == 2


async def test_position_is_not_ahead_of_what_is_matched(
    intake: RunningIntake, store: AsyncEngine, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A process that ends before it has matched a change late leaves a position before the change.
    """
    here = process(intake, store, queue)
    await here.run()
    await intake.accept(shipped("e1"))
    here.position = FeedPosition(2)
    here.learn(await accepted_at(store, "e1"), revision=2)
    monkeypatch.setattr(here.late, "_next_look", 0.0)

    def broken(*_: object) -> None:
        raise OSError("the store is away")

    with monkeypatch.context() as away:
        away.setattr(accepted_events, "page", broken)
        for _ in range(3):
            with pytest.raises(OSError, match="away"):
                await here.late.run_once()
            monkeypatch.setattr(here.late, "_next_look", 0.0)

    async with store.connect() as db:
        assert (await db.execute(sa.select(feed_positions.c.revision))).scalar_one() == 1
    await here.run()
    monkeypatch.setattr(here.late, "_next_look", 0.0)
    await here.run()
    async with store.connect() as db:
        assert (await db.execute(sa.select(feed_positions.c.revision))).scalar_one() == 2
    assert await made_of(store) == [("e1", "shipped")]


@pytest.mark.slow
async def test_what_was_missed_while_held_is_sent(
    intake: RunningIntake, store: AsyncEngine, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A subscription that has returned gets the events since it was held, in each process that
    held it; the record of that is deleted once all processes have come so far.
    """
    here, there = process(intake, store, queue), process(intake, store, queue, "there")
    for each in (here, there):
        await each.run()
    known = subscription()
    async with writing(store) as db:
        await held.record(db, [known.name], HeldReason.MISSING)
    await intake.accept(shipped("e1"))
    async with writing(store) as db:
        await held.end(db, {known.name: 1})

    async def come_back(it: Process, event_id: str) -> None:
        it.position = FeedPosition(2)
        it.index.put(known)
        it.pending.returned(known.name, None)
        await it.run()
        assert (event_id, "shipped") in await made_of(store)
        monkeypatch.setattr(it.late, "_next_look", 0.0)
        await it.run()

    await come_back(here, "e1")
    await intake.accept(shipped("e2"))
    assert await count(store, held_resources) == 1
    await come_back(there, "e2")
    monkeypatch.setattr(here.late, "_next_look", 0.0)
    await here.run()

    assert await count(store, held_resources) == 0
    assert await made_of(store) == [("e1", "shipped"), ("e2", "shipped")]

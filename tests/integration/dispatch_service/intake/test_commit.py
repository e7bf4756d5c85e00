"""
Groups of events: what shares a transaction, and what a fault of one event does to the others.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, cast

import asyncpg
import pytest
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, SubscriptionLimit
from dispatch_service.domain.work import EventKey, Lease, NewEvent, Receipt
from dispatch_service.intake.waiting import GROUP_EVENTS
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import deliveries, events
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.progress import STALLED_SECONDS, Progress
from service_runtime.rpc.errors import StoreUnavailable
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.dispatch_factories import subscription
from tests.support.running_intake import RunningIntake, count, kinds, running_intake, shipped

pytestmark = pytest.mark.anyio

BAD_ORDER, BAD_ACCOUNT = 13, 113


class CountedQueue:
    """
    A queue that counts the groups, and hands events of one order to the store with a column
    that it does not take.
    """

    def __init__(self, queue: Queue) -> None:
        self.groups = 0
        self._queue = queue

    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store a group.
        """
        self.groups += 1
        return await self._queue.insert([_spoilt(event) for event in group], lease)


def _spoilt(event: NewEvent) -> NewEvent:
    if event.resource != f"orders/{BAD_ORDER}":
        return event
    return replace(event, domain_event=cast(str, None))


class AbsentQueue:
    """
    A queue whose database fails, as a driver does.
    """

    def __init__(self, error: BaseException) -> None:
        self.groups = 0
        self._error = error

    async def insert(self, *_: Any) -> Mapping[EventKey, Receipt]:
        """
        Fail.
        """
        self.groups += 1
        raise self._error


class FaultyIndex(SubscriptionIndex):
    """
    An index that fails for one account.
    """

    def live(self, owner: str) -> Mapping[str, Mapping[str, Subscription]]:
        """
        Find the subscriptions of an owner.
        """
        if owner == f"accounts/{BAD_ACCOUNT}":
            raise ZeroDivisionError
        return super().live(owner)


class AbsentKeys(DayKeys):
    """
    Data keys that cannot be read.
    """

    asked = 0

    async def today(self) -> Sealer:
        """
        Fail, and count it.
        """
        self.asked += 1
        raise LookupError


async def test_concurrent_publishes_share_transactions(store: AsyncEngine, queue: Queue) -> None:
    """
    Forty publishes at once need far fewer commits than forty.
    """
    counted = CountedQueue(queue)
    async with running_intake(store, cast(Queue, counted)) as intake:
        await asyncio.gather(*(intake.accept(shipped(f"e{n}")) for n in range(40)))

    assert await count(store, events) == 40
    assert counted.groups <= 4


async def test_event_that_the_store_refuses_fails_alone(store: AsyncEngine, queue: Queue) -> None:
    """
    A refused group is split until the bad event stands alone. No slot stays reserved.
    """
    made = [shipped(f"e{n}", **({"id": BAD_ORDER} if n == 5 else {})) for n in range(8)]
    async with running_intake(store, cast(Queue, CountedQueue(queue))) as intake:
        intake.subscriptions.put(subscription())
        answers = await intake.accept(*made)
        await intake.nothing_held()

    assert [isinstance(it, Receipt) for it in answers] == [n != 5 for n in range(8)]
    assert await count(store, events) == await count(store, deliveries) == 7
    assert len(intake.dispatched) == 7


async def test_repeat_of_an_event_that_the_store_refuses_is_judged_by_itself(
    store: AsyncEngine, queue: Queue
) -> None:
    """
    Nothing was stored under the id, so another event may have it.
    """
    async with running_intake(store, cast(Queue, CountedQueue(queue))) as intake:
        refused, stored, repeat = await intake.accept(
            shipped("e1", id=BAD_ORDER), shipped("e1"), shipped("e1")
        )

    assert isinstance(refused, DBAPIError)
    assert isinstance(stored, Receipt)
    assert isinstance(repeat, Receipt)
    assert stored == replace(repeat, fresh=True)
    assert await count(store, events) == 1


async def test_fault_in_the_check_fails_one_event(store: AsyncEngine, queue: Queue) -> None:
    """
    The others of its group are stored, and the next groups too.
    """

    def check(event: event_pb2.Event, _content: bytes) -> list[tuple[str, str]]:
        if event.event_id == "e1":
            raise ZeroDivisionError
        return []

    async with running_intake(store, queue, check=check) as intake:
        answers = await intake.accept(*(shipped(f"e{n}") for n in range(3)))
        answers += await intake.accept(shipped("e3"))

    assert kinds(answers) == [Receipt, ZeroDivisionError, Receipt, Receipt]
    assert await count(store, events) == 3


async def test_fault_in_the_preparation_fails_one_event(store: AsyncEngine, queue: Queue) -> None:
    """
    The others of its group are stored, and no slot stays reserved.
    """
    index = FaultyIndex(received=True, complete=True)
    index.put(subscription())
    made = [shipped(f"e{n}", account=BAD_ACCOUNT if n == 5 else 100) for n in range(20)]
    async with running_intake(store, queue, subscriptions=index) as intake:
        answers = await intake.accept(*made)
        await intake.nothing_held()

    assert [isinstance(it, Receipt) for it in answers] == [n != 5 for n in range(20)]
    assert isinstance(answers[5], ZeroDivisionError)
    assert await count(store, events) == 19


async def test_fault_while_slots_are_reserved_fails_one_event(
    store: AsyncEngine, queue: Queue
) -> None:
    """
    The slots that were reserved before it are returned.
    """
    faulty = f"accounts/{BAD_ACCOUNT}"

    def limit_of(owner: str, _subscription: str) -> SubscriptionLimit:
        if owner == faulty:
            raise ZeroDivisionError
        return NO_LIMIT

    made = [shipped(f"e{n}", account=BAD_ACCOUNT if n == 5 else 100) for n in range(20)]
    async with running_intake(store, queue, limit_of=limit_of) as intake:
        intake.subscriptions.put(subscription())
        intake.subscriptions.put(subscription(owner=faulty))
        answers = await intake.accept(*made)
        await intake.nothing_held()

    assert [isinstance(it, Receipt) for it in answers] == [n != 5 for n in range(20)]
    assert await count(store, events) == len(intake.dispatched) == 19


async def test_missing_key_fails_a_group_at_once(store: AsyncEngine, queue: Queue) -> None:
    """
    It is asked for once, however many events wait. It is no fault of theirs.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    keys = AbsentKeys(store, ring, cast(Any, None))
    async with running_intake(store, queue, keys=keys) as intake:
        answers = await intake.accept(*(shipped(f"e{n}") for n in range(20)))

    assert kinds(answers) == [StoreUnavailable] * 20
    assert keys.asked == 1


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "the database is away"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.UndefinedTableError("relation does not exist"),
        sqlite3.OperationalError("disk I/O error"),
    ],
)
async def test_all_are_answered_while_the_store_is_unavailable(
    store: AsyncEngine, error: Exception
) -> None:
    """
    Repeats too. The group is not split, and no slot stays reserved.
    """
    absent = AbsentQueue(error)
    async with running_intake(store, cast(Queue, absent)) as intake:
        intake.subscriptions.put(subscription())
        answers = await intake.accept(shipped("e1"), shipped("e1"), shipped("e2"))
        await intake.nothing_held()

    assert kinds(answers) == [StoreUnavailable] * 3
    assert (absent.groups, intake.dispatched) == (1, [])


async def test_blocked_delivery_returns_its_slot(intake: RunningIntake, store: AsyncEngine) -> None:
    """
    Of two ordered deliveries about one order the second is stored and waits for the first.
    """
    intake.subscriptions.put(subscription(ordered=True))

    await intake.accept(shipped("e1"), shipped("e2"))

    await intake.nothing_held()
    assert await count(store, deliveries) == 2
    assert [ready.claimed.event_id for ready in intake.dispatched] == ["e1"]


@pytest.mark.slow
async def test_many_invalid_events_do_not_block_the_loop(store: AsyncEngine, queue: Queue) -> None:
    """
    The loop is free between their groups.
    """
    turns, events = 0, [shipped(f"e{n}", id=0) for n in range(10 * GROUP_EVENTS)]

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running_intake(store, queue, most_waiting=len(events)) as intake:
        counting = asyncio.create_task(count_turns())
        await intake.accept(*events)
        counting.cancel()

    assert turns >= 10


async def test_empty_group_is_a_heartbeat(store: AsyncEngine, queue: Queue) -> None:
    """
    A committer that is woken without events shows that it can write.
    """
    now = 0.0
    beats = []

    async def write() -> None:
        beats.append(now)

    progress = Progress("commits", write, lambda: now)
    async with running_intake(store, queue, progress=progress) as intake:
        progress.wake()
        await intake.accept(shipped("e1"))
        now = STALLED_SECONDS
        progress.wake()
        async with asyncio.timeout(20):
            while not beats:
                await asyncio.sleep(0.01)

    assert progress.problem() == ""
    assert beats == [STALLED_SECONDS]

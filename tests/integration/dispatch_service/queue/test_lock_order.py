"""
Transactions that want the same sequences and deliveries take turns, without deadlocks.

Each test holds something until the others wait for it, in an order in which they
would then wait for each other if they locked as it comes.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import retry, succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.feed import backlog_updates
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.log import read
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import cancellations, resends
from dispatch_service.storage.schema import bodies, deliveries, events, sequences
from dispatch_service.upkeep import erasure
from service_runtime.database import conflicts
from service_runtime.database.engine import writing
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event
from tests.support.lock_waits import changed, settle_down

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"


@pytest.fixture(autouse=True)
def _no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let every victim of a deadlock show.
    """
    monkeypatch.setattr(conflicts, "_PAUSES", ())


def event(resource: str = "orders/1", *, leased: bool = False, **over: Any) -> NewEvent:
    """
    Make an event with one ordered delivery.
    """
    return new_event(new_delivery(ordered=True, leased=leased), resource=resource, **over)


def retried(it: NewEvent) -> Settlement:
    """
    Make the result of an attempt that failed and is made again later.
    """
    claimed = claimed_of(it)
    failed = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
    return Settlement(claimed, retry(1, timedelta(hours=1), FailureKind.TIMEOUT), failed)


async def hold_sequence(db: AsyncConnection, resource: str = "orders/1") -> None:
    """
    Lock a sequence.
    """
    mine = sequences.c.resource == resource
    await db.execute(sa.select(sequences).where(mine).with_for_update())


async def hold_delivery(db: AsyncConnection, it: NewEvent) -> None:
    """
    Lock the delivery of an event.
    """
    mine = deliveries.c.event_id == it.event_id
    await db.execute(sa.select(deliveries).where(mine).with_for_update())


async def row_of(store: AsyncEngine, it: NewEvent) -> Any:
    """
    Read the row of an event's delivery.
    """
    async with store.connect() as db:
        return await read.get_delivery(db, OWNER, it.deliveries[0].delivery_id)


@pytest.mark.parametrize("at", [0, 1])
async def test_cancel_and_the_end_of_the_head(queue: Queue, store: AsyncEngine, at: int) -> None:
    """
    A head that ends and a cancelled delivery of its sequence, itself or the next, both get through.
    """
    ordered = [event(leased=True), event(), event()]
    await queue.insert(ordered, LEASE)
    head = claimed_of(ordered[0])
    row = await row_of(store, ordered[at])
    failed = attempt(head, status="FAILURE", failure_kind="timeout", response_code=None)
    over = Settlement(head, succeed(0) if at else retried(ordered[0]).transition, failed)

    async with writing(store) as db:
        await hold_sequence(db)
        settling = asyncio.create_task(queue.settle([over]))
        await settle_down(store, settling)
        cancelling = asyncio.create_task(changed(store, cancellations.cancel, row, "ann"))
        await settle_down(store, settling, cancelling)
    await asyncio.gather(settling, cancelling)

    assert (await row_of(store, ordered[at])).state == "CANCELLED"
    (following,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert following.event_id == ordered[at + 1].event_id


async def test_erasing_and_publishing(queue: Queue, store: AsyncEngine) -> None:
    """
    Events of one customer in several sequences are erased while others are published there.
    """
    first = event("orders/2", event_id="a", order_id=7)
    second = event("orders/1", event_id="b", order_id=7)
    await queue.insert([first, second], LEASE)
    more = [event("orders/1"), event("orders/2")]

    async with writing(store) as db:
        await hold_sequence(db, "orders/1")
        publishing = asyncio.create_task(queue.insert(more, LEASE))
        await settle_down(store, publishing)
        erasing = asyncio.create_task(
            erasure.erase_all(store, 100, events.c.order_id == 7, "callers/ann")
        )
        await settle_down(store, publishing, erasing)
    await publishing

    assert (await erasing).cancelled == 2
    claimed = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert {it.event_id for it in claimed} == {it.event_id for it in more}


async def test_resends_of_the_same_deliveries(queue: Queue, store: AsyncEngine) -> None:
    """
    Two resends of the same deliveries, named in any order, lock them in one order.
    """
    made = sorted((event(f"orders/{at}") for at in range(20)), key=lambda it: it.event_id)
    await queue.insert(made, LEASE)
    ids = [it.deliveries[0].delivery_id for it in made]

    async def resend(wanted: list[str]) -> int:
        span = timedelta(days=1)
        done: int = await changed(store, resends.make_due, OWNER, wanted, "ann", span)
        return done

    async with writing(store) as db:
        await hold_delivery(db, made[10])
        tasks = [asyncio.create_task(resend(it)) for it in (ids, ids[::-1])]
        await settle_down(store, *tasks)
    assert await asyncio.gather(*tasks) == [20, 20]


async def test_cancel_waits_for_a_retry_that_is_written(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery whose failed attempt is being written is cancelled, not refused as ended.
    """
    made = new_event(new_delivery(leased=True))
    await queue.insert([made], LEASE)
    row = await row_of(store, made)

    async with writing(store) as db:
        await hold_delivery(db, made)
        settling = asyncio.create_task(queue.settle([retried(made)]))
        await settle_down(store, settling)
        cancelling = asyncio.create_task(changed(store, cancellations.cancel, row, "ann"))
        await settle_down(store, settling, cancelling)
    await asyncio.gather(settling, cancelling)

    assert (await row_of(store, made)).state == "CANCELLED"


async def test_erasing_waits_for_a_retry_that_is_written(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery whose failed attempt is being written is cancelled with its payload gone.
    """
    made = new_event(new_delivery(leased=True), order_id=7)
    await queue.insert([made], LEASE)

    async with writing(store) as db:
        await hold_delivery(db, made)
        settling = asyncio.create_task(queue.settle([retried(made)]))
        await settle_down(store, settling)
        erasing = asyncio.create_task(
            erasure.erase_all(store, 100, events.c.order_id == 7, "callers/ann")
        )
        await settle_down(store, settling, erasing)
    await settling

    assert (await erasing).cancelled == 1
    assert (await row_of(store, made)).state == "CANCELLED"


async def test_erasing_waits_for_what_is_being_matched(queue: Queue, store: AsyncEngine) -> None:
    """
    An event that is matched while it is erased leaves no payload behind.
    """
    waiting = new_event(matched=False, order_id=7)
    await queue.insert([waiting], LEASE)
    matched = new_event(new_delivery(), event_id=waiting.event_id)

    async with writing(store) as db:
        mine = sa.select(events).where(events.c.event_id == waiting.event_id)
        await db.execute(mine.with_for_update())
        matching = asyncio.create_task(queue.insert_matches([matched], LEASE))
        await settle_down(store, matching)
        erasing = asyncio.create_task(
            erasure.erase_all(store, 100, events.c.order_id == 7, "callers/ann")
        )
        await settle_down(store, matching, erasing)
    await matching

    assert (await erasing).cancelled == 1
    async with store.connect() as db:
        assert (await db.execute(sa.select(bodies))).all() == []


async def test_erasing_waits_for_deliveries_that_are_added(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    An event that is erased while deliveries are added to it leaves no payload behind.
    """
    stored = new_event(order_id=7)
    await queue.insert([stored], LEASE)
    late = new_event(new_delivery(), event_id=stored.event_id)

    async with writing(store) as db:
        mine = sa.select(events).where(events.c.event_id == stored.event_id)
        await db.execute(mine.with_for_update())
        adding = asyncio.create_task(queue.insert_missing([late], LEASE))
        await settle_down(store, adding)
        erasing = asyncio.create_task(
            erasure.erase_all(store, 100, events.c.order_id == 7, "callers/ann")
        )
        await settle_down(store, adding, erasing)

    assert await adding == (await erasing).cancelled == 1
    async with store.connect() as db:
        assert (await db.execute(sa.select(bodies))).all() == []


async def test_sequences_that_end_while_a_result_ends_their_subscription(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A transaction that holds a sequence may record a backlog update while another is applied.
    """
    it = event(leased=True)
    await queue.insert([it, event()], LEASE)
    await changed(
        store,
        backlog_updates.record,
        [BacklogUpdate(OWNER, "shipped", 1, BacklogAction.RESUME, ordered=False)],
    )
    runner = BacklogUpdater(store, LEASE.duration, lambda: None)

    async with writing(store) as db:
        await hold_sequence(db)
        ending = asyncio.create_task(runner.run_once())
        await settle_down(store, ending)
        await backlog_updates.record(db, [BacklogUpdate(OWNER, "shipped", 1, BacklogAction.CANCEL)])
    await ending
    while await runner.run_once():
        pass

    assert (await row_of(store, it)).sequence_position is None

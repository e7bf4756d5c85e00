"""
Deliveries of an ordered subscription about one resource go out one after the other.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import cancel, fail, retry, succeed
from dispatch_service.domain.work import Claimed, NewEvent, Requeue, Settlement
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.queue.protocol import Queue
from dispatch_service.queue.sequences import advance
from dispatch_service.storage.schema import deliveries, sequences
from service_runtime.database.engine import writing
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event
from tests.support.lock_waits import record_and_apply

pytestmark = pytest.mark.anyio


def event(resource: str = "orders/1", *, leased: bool = False) -> NewEvent:
    """
    Make an event with one ordered delivery.
    """
    return new_event(new_delivery(ordered=True, leased=leased), resource=resource)


async def claim(queue: Queue) -> list[Claimed]:
    """
    Claim all that is due.
    """
    return list(await queue.claim(LEASE, limit=100, per_endpoint=100, full=()))


async def numbers(store: AsyncEngine) -> list[tuple[str, int, int]]:
    """
    Read the sequences with their numbers.
    """
    columns = sequences.c
    query = sa.select(columns.resource, columns.head_number, columns.next_number)
    async with store.connect() as db:
        return [tuple(row) for row in await db.execute(query.order_by(columns.resource))]


async def test_only_the_first_of_a_resource_is_due(queue: Queue, store: AsyncEngine) -> None:
    """
    Of each resource one delivery is due, the one that was stored first; others wait.
    """
    events = [event("orders/1"), event("orders/1"), event("orders/2")]
    await queue.insert(events, LEASE)

    claimed = await claim(queue)

    assert {it.delivery_id for it in claimed} == {
        events[0].deliveries[0].delivery_id,
        events[2].deliveries[0].delivery_id,
    }
    assert await numbers(store) == [("orders/1", 1, 3), ("orders/2", 1, 2)]


async def test_success_unblocks_the_next_one(queue: Queue, store: AsyncEngine) -> None:
    """
    The end of the head makes the next of its resource due, and an empty sequence is deleted.
    """
    first, second = event(), event()
    await queue.insert([first, second], LEASE)

    for each in (first, second):
        (claimed,) = await claim(queue)
        assert claimed.event_id == each.event_id
        ended = await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])
        assert ended.unblocked == (1 if each is first else 0)

    assert await numbers(store) == []


async def test_retry_holds_the_others_up_until_it_has_failed_for_good(queue: Queue) -> None:
    """
    A head that waits for its retry holds its resource up; one that has failed does not.
    """
    first, second = event(), event()
    await queue.insert([first, second], LEASE)
    (head,) = await claim(queue)
    failed = attempt(head, status="FAILURE", failure_kind="timeout", response_code=None)
    again = retry(1, timedelta(), FailureKind.TIMEOUT)

    await queue.settle([Settlement(head, again, failed)])

    (head,) = await claim(queue)
    assert head.event_id == first.event_id
    over = attempt(head, status="FAILURE", failure_kind="timeout", response_code=None)
    await queue.settle([Settlement(head, fail(1, FailureKind.TIMEOUT), over)])
    (following,) = await claim(queue)
    assert following.event_id == second.event_id


async def test_no_direct_dispatch_overtakes(queue: Queue) -> None:
    """
    A delivery behind an unfinished one is not stored leased, and the receipt says so.
    """
    first, second = event(leased=True), event(leased=True)
    await queue.insert([first], LEASE)

    receipts = await queue.insert([second], LEASE)

    assert receipts[second.key].blocked == {second.deliveries[0].delivery_id}
    assert await claim(queue) == []
    held = claimed_of(first)
    await queue.settle([Settlement(held, succeed(0), attempt(held), 200)])
    (following,) = await claim(queue)
    assert (following.event_id, following.number) == (second.event_id, 1)


async def test_list_order_counts_within_a_batch(queue: Queue) -> None:
    """
    Events of one batch keep the order of the list, whatever their ids.
    """
    events = [
        new_event(new_delivery(ordered=True), event_id=name, resource="orders/1")
        for name in ("c", "a", "b")
    ]
    await queue.insert(events, LEASE)

    seen = []
    for _ in events:
        (claimed,) = await claim(queue)
        seen.append(claimed.event_id)
        await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])

    assert seen == ["c", "a", "b"]


async def test_released_head_keeps_its_position(queue: Queue) -> None:
    """
    A head that is released unsent is still the head.
    """
    first, second = event(leased=True), event()
    await queue.insert([first, second], LEASE)

    await queue.release([Requeue(claimed_of(first))])

    (claimed,) = await claim(queue)
    assert claimed.event_id == first.event_id


async def test_head_cancelled_while_attempted_unblocks_the_next(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A delivery that was cancelled during its attempt ends with it, and its sequence advances.
    """
    first, second = event(leased=True), event()
    await queue.insert([first, second], LEASE)
    head = claimed_of(first)
    async with writing(store) as db:
        mine = deliveries.c.delivery_id == head.delivery_id
        await db.execute(sa.update(deliveries).where(mine).values(cancelled_by="somebody"))
    failed = attempt(head, status="FAILURE", failure_kind="timeout", response_code=None)

    ended = await queue.settle(
        [Settlement(head, retry(1, timedelta(hours=1), FailureKind.TIMEOUT), failed)]
    )

    assert ended.unblocked == 1
    async with store.connect() as db:
        state = await db.execute(sa.select(deliveries.c.state).where(mine))
        assert state.scalar_one() == "CANCELLED"
    (following,) = await claim(queue)
    assert following.event_id == second.event_id


async def test_end_of_order_unblocks_all(queue: Queue, store: AsyncEngine) -> None:
    """
    When a subscription is no longer ordered, nothing of it waits for anything else.
    """
    await queue.insert([event(), event(), event()], LEASE)

    await record_and_apply(
        store, BacklogUpdate("accounts/100", "shipped", 1, BacklogAction.RESUME, ordered=False)
    )

    assert len(await claim(queue)) == 3
    assert await numbers(store) == []


async def test_cancelled_in_the_middle_is_skipped(queue: Queue, store: AsyncEngine) -> None:
    """
    A waiting delivery that ends leaves no hole in its sequence.
    """
    first, second, third = event(), event(), event()
    await queue.insert([first, second, third], LEASE)
    async with writing(store) as db:
        mine = deliveries.c.event_id == second.event_id
        ended: dict[str, object] = {
            "state": "CANCELLED",
            "end_time": sa.column("create_time"),
            "due_time": None,
        }
        await db.execute(sa.update(deliveries).where(mine).values(ended))
        assert await advance(db, [("accounts/100", "shipped", "orders/1")]) == 0
    (head,) = await claim(queue)

    await queue.settle([Settlement(head, cancel(0), None)])

    (following,) = await claim(queue)
    assert following.event_id == third.event_id


async def test_concurrent_publishes_give_each_number_once(queue: Queue, store: AsyncEngine) -> None:
    """
    Positions are taken under the sequence's lock: publishes at the same time share none.
    """
    groups = [[event() for _ in range(5)] for _ in range(8)]

    await asyncio.gather(*(queue.insert(group, LEASE) for group in groups))

    query = sa.select(deliveries.c.event_id, deliveries.c.sequence_position)
    async with store.connect() as db:
        taken = {row.event_id: row.sequence_position for row in await db.execute(query)}
    assert sorted(taken.values()) == list(range(1, 41))
    for group in groups:
        given = [taken[it.event_id] for it in group]
        assert given == sorted(given)

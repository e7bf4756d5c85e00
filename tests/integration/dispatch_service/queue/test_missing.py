"""
Deliveries that stored events lack, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.work import NewEvent
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import bodies, deliveries, events, sequences
from dispatch_service.upkeep import erasure
from tests.support.dispatch_factories import LEASE, new_delivery, new_event
from tests.support.running_intake import count

pytestmark = pytest.mark.anyio


async def stored(queue: Queue, event_id: str, *subscriptions: str) -> None:
    """
    Store an event with deliveries to subscriptions.
    """
    made = [new_delivery(subscription=it) for it in subscriptions]
    await queue.insert([new_event(*made, event_id=event_id)], LEASE)


def late(event_id: str, *subscriptions: str, ordered: bool = False) -> NewEvent:
    """
    Make deliveries of a stored event.
    """
    made = [new_delivery(subscription=it, ordered=ordered) for it in subscriptions]
    return new_event(*made, event_id=event_id)


async def test_only_what_is_missing_is_stored(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery that is stored stays as it is, and shares its body with the one that was missing.
    """
    await stored(queue, "e1", "early")

    first = await queue.insert_missing([late("e1", "early", "late")], LEASE)
    second = await queue.insert_missing([late("e1", "early", "late")], LEASE)

    assert (first, second) == (1, 0)
    async with store.connect() as db:
        query = sa.select(deliveries.c.subscription, deliveries.c.state, deliveries.c.create_time)
        rows = (await db.execute(query.order_by(deliveries.c.subscription))).all()
        accepted = (await db.execute(sa.select(events.c.accept_time))).scalar_one()
    assert [tuple(row) for row in rows] == [
        ("early", "PENDING", accepted),
        ("late", "PENDING", accepted),
    ]
    assert await count(store, bodies) == 1


@pytest.mark.parametrize("matched", [True, False])
async def test_events_that_must_not_be_sent_are_left_out(
    queue: Queue, store: AsyncEngine, *, matched: bool
) -> None:
    """
    An event that is unknown, was erased or waits for a snapshot gets no delivery and no body.
    """
    waiting = new_event(event_id="e1", matched=matched)
    await queue.insert([waiting], LEASE)
    if matched:
        await erasure.erase_all(store, 100, events.c.event_id == "e1", "callers/ann")

    found = await queue.insert_missing([late("e1", "late"), late("unknown", "late")], LEASE)

    assert found == 0
    assert await count(store, bodies) == 0


async def test_late_deliveries_are_in_order_among_themselves(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    They take the positions of their sequence in the order in which they are given, once.
    """
    for event_id in ("e1", "e2", "e3"):
        await stored(queue, event_id)

    group = [late(event_id, "late", ordered=True) for event_id in ("e2", "e1", "e3")]
    assert await queue.insert_missing(group, LEASE) == 3
    again = [late(event_id, "late", ordered=True) for event_id in ("e2", "e1", "e3")]
    assert await queue.insert_missing(again, LEASE) == 0

    async with store.connect() as db:
        columns = deliveries.c
        query = sa.select(columns.event_id, columns.due_time.is_not(None))
        rows = (await db.execute(query.order_by(columns.sequence_position))).all()
        last = (await db.execute(sa.select(sequences.c.next_number))).scalar_one()
    assert [tuple(row) for row in rows] == [("e2", True), ("e1", False), ("e3", False)]
    assert last == 4


async def test_processes_store_a_missing_delivery_once(queue: Queue, store: AsyncEngine) -> None:
    """
    Many that find the same deliveries missing, in any order, store each once.
    """
    ids = [f"e{number}" for number in range(8)]
    for event_id in ids:
        await stored(queue, event_id)

    def group(*, ordered: bool) -> list[NewEvent]:
        return [late(it, "a", "b", ordered=ordered) for it in (ids if ordered else ids[::-1])]

    found = await asyncio.gather(
        *(queue.insert_missing(group(ordered=n % 2 == 0), LEASE) for n in range(6))
    )

    assert sum(found) == 16
    assert await count(store, deliveries) == 16

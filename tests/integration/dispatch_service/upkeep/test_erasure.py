"""
Erasures of a customer's data, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import retry, succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import attempts, bodies, deliveries, erasures, events
from dispatch_service.upkeep import erasure, prune_statements
from dispatch_service.upkeep.erasure import Erased
from dispatch_service.upkeep.prune_statements import Cutoff, Retention
from dispatch_service.upkeep.schedule import Maintenance
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event
from tests.support.figures import moved

pytestmark = pytest.mark.anyio


def about(order_id: int, *, leased: bool = False, **over: Any) -> NewEvent:
    """
    Make an event about an order, with one delivery.
    """
    made = new_delivery(leased=leased, **over)
    found_by = {"email_hash": b"hash of ann", "order_number_hash": b"hash of a number"}
    return new_event(made, order_id=order_id, **found_by)


async def erase(store: AsyncEngine, condition: sa.ColumnElement[bool]) -> Erased:
    """
    Erase what a condition finds in account 100.
    """
    return await erasure.erase_all(store, 100, condition, "callers/ann")


async def count(store: AsyncEngine, table: sa.Table) -> int:
    """
    Count rows.
    """
    async with reading(store) as db:
        return int((await db.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def states(store: AsyncEngine) -> list[str]:
    """
    Return the states of all deliveries.
    """
    async with reading(store) as db:
        return sorted((await db.execute(sa.select(deliveries.c.state))).scalars())


async def kept(store: AsyncEngine) -> list[Any]:
    """
    Return all that could still say something of a customer.
    """
    found: list[Any] = []
    hashes = (events.c.email_hash, events.c.order_number_hash)
    async with reading(store) as db:
        for column in (events.c.sealed_payload, *hashes, bodies.c.sealed_body):
            found += (await db.execute(sa.select(column).where(column.is_not(None)))).scalars()
        column = attempts.c.sealed_exchange
        found += (await db.execute(sa.select(column).where(column.is_not(None)))).scalars()
    return found


async def test_nothing_is_left_but_the_log(queue: Queue, store: AsyncEngine) -> None:
    """
    What was sent keeps its rows without contents; what waits is cancelled.
    """
    sent, waiting = about(7, leased=True), about(7)
    await queue.insert([sent, waiting], LEASE)
    done = claimed_of(sent)
    await queue.settle([Settlement(done, succeed(0), attempt(done), 200)])

    with moved("webhooks_deliveries_ended_total", state="CANCELLED", failure_kind="") as cancelled:
        erased = await erase(store, events.c.order_id == 7)

    assert erased == Erased(events=2, cancelled=1, sent=1, waiting=0)
    assert cancelled() == 1
    assert await states(store) == ["CANCELLED", "SUCCEEDED"]
    assert await kept(store) == []
    assert (await count(store, events), await count(store, attempts)) == (2, 1)
    assert await queue.claim(LEASE, limit=10, per_endpoint=10, full=()) == []


async def test_only_what_is_meant_is_erased(queue: Queue, store: AsyncEngine) -> None:
    """
    Other orders and other accounts keep theirs.
    """
    other = new_event(new_delivery(owner="accounts/200"), account=200, order_id=7)
    await queue.insert([about(7), about(8), other], LEASE)

    assert (await erase(store, events.c.order_id == 7)).events == 1

    assert await count(store, bodies) == 2
    assert (await erase(store, events.c.email_hash == b"hash of ann")).events == 1
    assert await count(store, bodies) == 1


async def test_copies_of_a_warehouse_are_erased_too(queue: Queue, store: AsyncEngine) -> None:
    """
    A warehouse's deliveries of an account's event are the same person's.
    """
    made = [new_delivery(), new_delivery(owner="warehouses/wh1", subscription="theirs")]
    await queue.insert([new_event(*made, warehouses=["wh1"], order_id=7)], LEASE)

    erased = await erase(store, events.c.order_id == 7)

    assert erased.cancelled == 2
    assert await kept(store) == []


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(events.c.event_id == "evt_1", id="event"),
        pytest.param(events.c.order_id == 7, id="order"),
        pytest.param(events.c.email_hash == b"hash of ann", id="e-mail"),
    ],
)
async def test_what_outlives_the_payload_is_erased_too(
    queue: Queue, store: AsyncEngine, condition: sa.ColumnElement[bool]
) -> None:
    """
    When the payload of an event is past its retention, bodies of unfinished deliveries,
    those of a warehouse, requests and responses are still there and are found.
    """
    made = [
        new_delivery(leased=True),
        new_delivery(subscription="waiting"),
        new_delivery(owner="warehouses/wh1", subscription="theirs"),
    ]
    about_ann = {"warehouses": ["wh1"], "order_id": 7, "email_hash": b"hash of ann"}
    event = new_event(*made, event_id="evt_1", **about_ann)
    await queue.insert([event], LEASE)
    done = claimed_of(event)
    await queue.settle([Settlement(done, succeed(0), attempt(done), 200)])
    async with writing(store) as db:
        await db.execute(sa.update(events).values(accept_time=after(-timedelta(days=2))))
        assert await prune_statements.prune_payloads(db, 100, Cutoff(timedelta(days=1))) == 1

    erased = await erase(store, condition)

    assert erased == Erased(events=1, cancelled=2, sent=1, waiting=0)
    assert await states(store) == ["CANCELLED", "CANCELLED", "SUCCEEDED"]
    assert await kept(store) == []


async def test_attempt_under_way_is_waited_for(queue: Queue, store: AsyncEngine) -> None:
    """
    While an attempt is being made the event waits; then there is no other attempt
    and the rest is erased in the background.
    """
    event = about(7, leased=True)
    await queue.insert([event], LEASE)

    erased = await erase(store, events.c.order_id == 7)

    assert (erased.events, erased.waiting) == (0, 1)
    keeper = Maintenance(store, SubscriptionIndex(), Retention())
    assert await keeper.finish_erasures() == 0
    held = claimed_of(event)
    failed = attempt(held, status="FAILURE", failure_kind="timeout", response_code=None)
    again = retry(1, timedelta(), FailureKind.TIMEOUT)
    await queue.settle([Settlement(held, again, failed)])
    assert await keeper.finish_erasures() == 1
    assert await states(store) == ["CANCELLED"]
    assert await kept(store) == []
    assert await count(store, erasures) == 0


async def test_sequence_goes_on_without_what_was_erased(queue: Queue, store: AsyncEngine) -> None:
    """
    An erased head of a sequence blocks nothing.
    """
    first, second = about(7, ordered=True), about(8, ordered=True)
    await queue.insert([first, second], LEASE)

    await erase(store, events.c.order_id == 7)

    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert claimed.event_id == second.event_id


async def test_unmatched_event_is_not_matched_any_more(queue: Queue, store: AsyncEngine) -> None:
    """
    An event that waited for a snapshot and was erased makes no deliveries.
    """
    event = new_event(matched=False, order_id=7)
    await queue.insert([event], LEASE)

    await erase(store, events.c.order_id == 7)

    matched = new_event(new_delivery(), event_id=event.event_id)
    assert await queue.insert_matches([matched], LEASE) == {}
    assert await count(store, deliveries) == 0

"""
The deletion of old rows, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.storage.schema import (
    attempts,
    bodies,
    deliveries,
    event_keys,
    events,
    request_ids,
)
from dispatch_service.upkeep import erasure, prune_statements
from dispatch_service.upkeep.prune_statements import Cutoff, Retention
from dispatch_service.upkeep.retention import Pruner
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after, database_now
from service_runtime.process.failures import FailureLog
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event
from tests.support.figures import moved

pytestmark = pytest.mark.anyio

NINETY_DAYS = Cutoff(timedelta(days=90))

TABLES = (events, event_keys, bodies, deliveries, attempts)
TIMES = (
    events.c.accept_time,
    event_keys.c.accept_time,
    bodies.c.create_time,
    deliveries.c.create_time,
    attempts.c.start_time,
)


async def settle(queue: Queue, *made: NewEvent) -> None:
    """
    Store events and let their deliveries succeed.
    """
    await queue.insert(made, LEASE)
    settlements = []
    for event in made:
        claimed = claimed_of(event)
        settlements.append(Settlement(claimed, succeed(0), attempt(claimed), 200))
    await queue.settle(settlements)


async def grow_older(store: AsyncEngine, age: timedelta) -> None:
    """
    Let everything in the tables be of an age.
    """
    async with writing(store) as db:
        for column in TIMES:
            await db.execute(sa.update(column.table).values({column.name: after(-age)}))


async def counts(store: AsyncEngine) -> dict[str, int]:
    """
    Count the rows of the tables, and the events that still have their content.
    """
    found = {}
    async with reading(store) as db:
        for table in TABLES:
            query = sa.select(sa.func.count()).select_from(table)
            found[table.name] = int((await db.execute(query)).scalar_one())
        filled = sa.select(sa.func.count(events.c.sealed_payload))
        found["payloads"] = int((await db.execute(filled)).scalar_one())
    return found


async def clear_contents(store: AsyncEngine) -> None:
    """
    Let the contents of all events be past their retention.
    """
    async with writing(store) as db:
        await db.execute(sa.update(events).values(sealed_payload=None))


def pruner_of(store: AsyncEngine, **settings: Any) -> Pruner:
    """
    Make a pruner, with settings of account 100.
    """
    index = SubscriptionIndex()
    index.put_settings("accounts/100", OwnerSettings(**settings))
    return Pruner(store, index, Retention(), FailureLog("maintenance.failed"))


@pytest.mark.slow
async def test_payloads_go_first_and_the_log_later(queue: Queue, store: AsyncEngine) -> None:
    """
    After 30 days the contents are gone, after 90 the log and with it the event's id.
    """
    await settle(queue, new_event(new_delivery(leased=True)))
    pruner = pruner_of(store)

    await grow_older(store, timedelta(days=29))
    await pruner.prune()
    assert set((await counts(store)).values()) == {1}

    await grow_older(store, timedelta(days=31))
    await pruner.prune()
    left = await counts(store)
    assert (left["bodies"], left["payloads"]) == (0, 0)
    assert (left["deliveries"], left["attempts"], left["events"], left["event_keys"]) == (1,) * 4

    await grow_older(store, timedelta(days=91))
    with moved("webhooks_rows_pruned_total", kind="delivery") as pruned:
        await pruner.prune()
    assert set((await counts(store)).values()) == {0}
    assert pruned() == 1


async def test_delivery_stays_as_long_as_the_content_of_its_event(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    Where the log is kept for a shorter time than payloads, the attempts go first: without its
    delivery a replay would send the event once more.
    """
    await settle(queue, new_event(new_delivery(leased=True)))
    await grow_older(store, timedelta(days=20))
    month = Cutoff(timedelta(days=10))

    async with writing(store) as db:
        assert await prune_statements.prune_attempts(db, "accounts/100", month) == 1
        assert await prune_statements.prune_deliveries(db, "accounts/100", month) == 0
    async with writing(store) as db:
        await db.execute(sa.update(events).values(sealed_payload=None))
        assert await prune_statements.prune_deliveries(db, "accounts/100", month) == 1


async def test_unfinished_deliveries_keep_all_they_need(queue: Queue, store: AsyncEngine) -> None:
    """
    However old it is, what is still to be delivered stays, with its payload.
    """
    waiting, under_way = new_event(new_delivery()), new_event(new_delivery(leased=True))
    await queue.insert([waiting, under_way], LEASE)
    await grow_older(store, timedelta(days=400))

    await pruner_of(store).prune()

    left = await counts(store)
    assert (left["deliveries"], left["bodies"]) == (2, 2)
    held = claimed_of(under_way)
    ended = await queue.settle([Settlement(held, succeed(0), attempt(held), 200)])
    assert ended.lost == frozenset()
    (claimed,) = await queue.claim(LEASE, limit=9, per_endpoint=9, full=())
    assert claimed.sealed_body is not None


@pytest.mark.slow
async def test_owner_may_keep_longer_or_shorter(queue: Queue, store: AsyncEngine) -> None:
    """
    What an owner has set stands above the service's settings, for that owner only.
    """
    mine = new_event(new_delivery(leased=True))
    theirs = new_event(new_delivery(leased=True, owner="accounts/200"), account=200)
    await settle(queue, mine, theirs)
    await grow_older(store, timedelta(days=3))

    await pruner_of(
        store, payload_retention=timedelta(days=1), log_retention=timedelta(days=2)
    ).prune()

    async with reading(store) as db:
        owners = (await db.execute(sa.select(deliveries.c.owner))).scalars().all()
        bodies_left = (await db.execute(sa.select(bodies.c.owner))).scalars().all()
    assert (owners, bodies_left) == (["accounts/200"], ["accounts/200"])


@pytest.mark.slow
async def test_event_stays_as_long_as_a_warehouse_keeps_something(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    What a warehouse keeps for longer than the account can still be erased by its event.
    """
    both = new_event(new_delivery(leased=True, owner="warehouses/w1"), warehouses=["w0", "w1"])
    others = new_event(new_delivery(leased=True), warehouses=["w1"])
    await settle(queue, both, others, new_event(new_delivery(leased=True)))
    await grow_older(store, timedelta(days=20))
    pruner = pruner_of(store, payload_retention=timedelta(days=1), log_retention=timedelta(days=2))

    await pruner.prune()
    assert (await counts(store))["events"] == 1
    erased = await erasure.erase_all(store, 100, events.c.event_id == both.event_id, "somebody")
    assert (erased.events, (await counts(store))["bodies"]) == (1, 0)

    await grow_older(store, timedelta(days=91))
    await pruner.prune()
    assert set((await counts(store)).values()) == {0}


async def test_owners_without_anything_old_cost_no_trips(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Owners are read in groups, and rows deleted only of those that have old ones.
    """
    monkeypatch.setattr(prune_statements, "OWNERS", 7)
    owners = [f"accounts/{100 + number}" for number in range(20)]
    made = [
        new_event(new_delivery(leased=True, owner=owner), account=100 + number)
        for number, owner in enumerate(owners)
    ]
    await settle(queue, *made)
    await grow_older(store, timedelta(hours=1))
    pruner = pruner_of(store, log_retention=timedelta(days=2))
    async with writing(store) as db:
        times = [(bodies, "create_time"), (deliveries, "create_time"), (attempts, "start_time")]
        for table, name in times:
            older = sa.update(table).where(table.c.owner.in_(owners[:2]))
            await db.execute(older.values({name: after(-timedelta(days=3))}))

    await clear_contents(store)
    visited = []
    original = pruner._prune_owner

    async def visit(rule: Any, owner: Any) -> int:
        visited.append((rule.kind, owner))
        return await original(rule, owner)

    monkeypatch.setattr(pruner, "_prune_owner", visit)
    await pruner.prune()

    assert visited == [("attempt", "accounts/100"), ("delivery", "accounts/100")]
    left = await counts(store)
    assert (left["deliveries"], left["attempts"], left["bodies"]) == (19, 19, 20)


async def test_batches_are_small(queue: Queue, store: AsyncEngine) -> None:
    """
    One transaction deletes a batch and no more.
    """
    count = prune_statements.BATCH + 20
    await settle(queue, *(new_event(new_delivery(leased=True)) for _ in range(count)))
    await grow_older(store, timedelta(days=100))
    await clear_contents(store)

    async with writing(store) as db:
        first = await prune_statements.prune_deliveries(
            db, "accounts/100", Cutoff(timedelta(days=90))
        )
    async with writing(store) as db:
        second = await prune_statements.prune_deliveries(
            db, "accounts/100", Cutoff(timedelta(days=90))
        )

    assert (first, second) == (prune_statements.BATCH, 20)


async def test_repeated_event_is_known_as_long_as_it_is_shown(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    An id is forgotten only with the event itself, so publishing again never collides.
    """
    event = new_event(new_delivery(leased=True))
    await settle(queue, event)
    await grow_older(store, timedelta(days=60))
    await pruner_of(store).prune()

    receipt = (await queue.insert([event], LEASE))[event.key]

    assert not receipt.fresh


async def test_request_ids_are_kept_for_a_day(store: AsyncEngine) -> None:
    """
    A request id counts for a day.
    """
    row = {"owner": "accounts/100", "method": "ResendDelivery", "resource": "it"}
    async with writing(store) as db:
        insert = sa.insert(request_ids)
        await db.execute(insert.values(**row, request_id="new", create_time=database_now()))
        old = after(timedelta(hours=-25))
        await db.execute(insert.values(**row, request_id="old", create_time=old))

    await pruner_of(store).prune()

    async with reading(store) as db:
        assert (await db.execute(sa.select(request_ids.c.request_id))).scalars().all() == ["new"]

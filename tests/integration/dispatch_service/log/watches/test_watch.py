"""
The attempts of an owner as they end, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.log.filters import parse_watch_filter
from dispatch_service.log.watches import watch
from dispatch_service.log.watches.watch import Mark
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import attempts
from service_runtime.database.engine import create_engine, reading
from service_runtime.database.instants import database_now
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"


async def settle(queue: Queue, count: int = 1) -> list[str]:
    """
    Store and settle events; return the ids of their deliveries.
    """
    made = [new_event(new_delivery(leased=True)) for _ in range(count)]
    await queue.insert(made, LEASE)
    await queue.settle([_succeeded(it) for it in made])
    return [it.deliveries[0].delivery_id for it in made]


def _succeeded(event: NewEvent) -> Settlement:
    claimed = claimed_of(event)
    return Settlement(claimed, succeed(0), attempt(claimed), 200)


async def present(store: AsyncEngine) -> Mark:
    """
    Return where a watch begins.
    """
    return Mark(await watch.horizon(store))


async def seen(
    store: AsyncEngine, mark: Mark, wanted: int, where: str = ""
) -> tuple[set[str], Mark]:
    """
    Watch until so many attempts came; none comes twice.
    """
    found: list[str] = []
    async with asyncio.timeout(30):
        while len(found) < wanted:
            rows, mark = await watch.read(store, OWNER, parse_watch_filter(where), str.encode, mark)
            found += [str(row.delivery_id).replace("-", "") for row in rows]
            await asyncio.sleep(0.005)
    assert len(found) == len(set(found))
    return set(found), mark


async def test_attempts_come_once_each(queue: Queue, store: AsyncEngine) -> None:
    """
    From its mark on a watch brings every attempt, in batches, and none twice.
    """
    await settle(queue)
    mark = await after_settling(store)
    first = await settle(queue, watch.BATCH + 20)
    found, mark = await seen(store, mark, len(first))
    assert found == set(first)

    second = await settle(queue, 3)

    found, _ = await seen(store, mark, 3)
    assert found == set(second)


async def after_settling(store: AsyncEngine) -> Mark:
    """
    Return a mark behind all that has been settled.
    """
    async with asyncio.timeout(30):
        while True:
            mark = await present(store)
            async with reading(store) as db:
                newest = (await db.execute(sa.select(sa.func.max(attempts.c.settle_time)))).scalar()
            if newest is not None and newest < mark.settle_time:
                return mark
            await asyncio.sleep(0.005)


async def test_mark_survives_as_a_cursor(queue: Queue, store: AsyncEngine) -> None:
    """
    A mark that was written down leads on from the same place.
    """
    mark = await present(store)
    await settle(queue, 2)
    _, mark = await seen(store, mark, 2)
    again = watch.mark_of(mark.key())
    assert again == mark

    later = await settle(queue)

    found, _ = await seen(store, again, 1)
    assert found == set(later)


async def test_filter_chooses(queue: Queue, store: AsyncEngine) -> None:
    """
    Only what the filter wants comes.
    """
    mark = await present(store)
    await settle(queue, 2)

    await seen(store, mark, 2, "status = SUCCESS")
    failures = parse_watch_filter("status = FAILURE")
    rows, _ = await watch.read(store, OWNER, failures, str.encode, mark)
    assert rows == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_late_commit_is_not_missed(queue: Queue, store: AsyncEngine) -> None:
    """
    A transaction that began before others and commits after them is shown all the
    same. SQLite has one writer at a time, so there is no such thing.
    """
    mark = await present(store)
    late, early = (new_event(new_delivery(leased=True)) for _ in range(2))
    await queue.insert([late, early], LEASE)
    slow = SlowFollow()
    settling = asyncio.create_task(queue.settle([_succeeded(late)], slow))
    await slow.started.wait()
    await queue.settle([_succeeded(early)])
    rows, mark = await watch.read(store, OWNER, (), str.encode, mark)
    assert rows == []

    slow.go_on.set()
    await settling

    found, _ = await seen(store, mark, 2)
    assert found == {it.deliveries[0].delivery_id for it in (late, early)}


@pytest.mark.slow
async def test_settling_that_takes_long_is_not_missed(queue: Queue, store: AsyncEngine) -> None:
    """
    However long a transaction takes, a watch that looks meanwhile shows its attempts later.
    """
    mark = await present(store)
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    slow = SlowFollow()
    settling = asyncio.create_task(queue.settle([_succeeded(event)], slow))
    await slow.started.wait()
    await passes(store, timedelta(milliseconds=100))
    looking = asyncio.create_task(watch.read(store, OWNER, (), str.encode, mark))
    await asyncio.wait([looking], timeout=0.2)  # where it waits for the writer, it does not end

    slow.go_on.set()
    await settling

    rows, mark = await looking
    if not rows:
        await seen(store, mark, 1)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_horizon_waits_for_other_pools(
    queue: Queue, store: AsyncEngine, database_url: str
) -> None:
    """
    A watch reads with a pool of its own; a result that another pool of the service is writing is
    not behind its horizon.
    """
    bulk = create_engine(database_url, application_name="tests bulk")
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    slow = SlowFollow()
    began = await _now(store)
    settling = asyncio.create_task(queue.settle([_succeeded(event)], slow))
    await slow.started.wait()
    writing_since = await _now(store)
    await passes(store, timedelta(milliseconds=200))

    seen_from_bulk = await watch.horizon(bulk)

    slow.go_on.set()
    await settling
    await bulk.dispose()
    assert began <= seen_from_bulk <= writing_since


async def passes(store: AsyncEngine, span: timedelta) -> None:
    """
    Wait until so much time has passed on the database's clock.
    """
    started = await _now(store)
    while await _now(store) < started + span:
        await asyncio.sleep(0.005)


async def _now(store: AsyncEngine) -> datetime:
    async with reading(store) as db:
        return (await db.execute(sa.select(database_now()))).scalar_one()


class SlowFollow:
    """
    An effect of settlements that goes on until *go_on* is set.
    """

    def __init__(self) -> None:
        self.started, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, _db: object, _held: object) -> None:
        """
        Hold the transaction open.
        """
        self.started.set()
        await self.go_on.wait()

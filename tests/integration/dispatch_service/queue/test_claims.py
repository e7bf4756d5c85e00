"""
What a claim costs where many endpoints have something waiting, on SQLite and on
PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.work import Claimed
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.protocol import Queue
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = pytest.mark.anyio

MOST = 10


@pytest.fixture
async def queue(store: AsyncEngine) -> AsyncIterator[Queue]:
    """
    Yield a queue whose claims look at ten endpoints each.
    """
    kind = SqliteQueue if store.dialect.name == "sqlite" else PostgresQueue
    queue: Queue = kind(store, most_endpoints=MOST)
    yield queue
    await queue.close()


def endpoint(number: int) -> str:
    """
    Name an endpoint; they are in the order of their numbers.
    """
    return f"https://e{number:03}.com:443"


async def store_waiting(
    queue: Queue, store: AsyncEngine, count: int, due: Sequence[int], each: int = 1
) -> None:
    """
    Store deliveries of so many endpoints, of which only some are due.
    """
    made = [
        new_event(new_delivery(endpoint=endpoint(number)))
        for number in range(count)
        for _ in range(each)
    ]
    await queue.insert(made, LEASE)
    columns = deliveries.c
    waits = columns.endpoint.not_in([endpoint(number) for number in due])
    async with writing(store) as db:
        later = {"due_time": after(timedelta(hours=5))}
        await db.execute(sa.update(deliveries).where(waits).values(later))


async def claim(queue: Queue, **over: Any) -> Sequence[Claimed]:
    """
    Claim as a worker does.
    """
    values: dict[str, Any] = {"limit": 100, "per_endpoint": 100, "full": ()}
    return await queue.claim(LEASE, **(values | over))


async def rounds(queue: Queue, count: int, **over: Any) -> list[list[str]]:
    """
    Claim so many times; return the endpoints of what each claim took.
    """
    return [sorted(it.endpoint for it in await claim(queue, **over)) for _ in range(count)]


async def test_claim_looks_at_so_many_endpoints(queue: Queue, store: AsyncEngine) -> None:
    """
    What waits behind endpoints that have nothing due is found by a later claim, which goes
    on where the last one ended, and round.
    """
    await store_waiting(queue, store, 35, due=[0, 12, 34])

    found = await rounds(queue, 4)

    assert found == [[endpoint(0)], [endpoint(12)], [], [endpoint(34)]]
    async with writing(store) as db:
        now = {"due_time": after(timedelta(seconds=-1))}
        first = deliveries.c.endpoint.in_([endpoint(3), endpoint(33)])
        await db.execute(sa.update(deliveries).where(first).values(now))
    again = await rounds(queue, 5)
    assert sorted(chain.from_iterable(again)) == [endpoint(3), endpoint(33)]


async def test_every_endpoint_has_its_turn(queue: Queue, store: AsyncEngine) -> None:
    """
    With more due than a claim takes, of more endpoints than it looks at, each round takes
    one of each.
    """
    await store_waiting(queue, store, 24, due=range(24), each=2)

    found = await rounds(queue, 16, limit=3, per_endpoint=1)

    taken = list(chain.from_iterable(found))
    assert sorted(taken[:24]) == sorted(taken[24:]) == [endpoint(number) for number in range(24)]


async def test_full_endpoints_hide_no_other(queue: Queue, store: AsyncEngine) -> None:
    """
    Endpoints that have no room do not use up what a claim may take.
    """
    await store_waiting(queue, store, 8, due=range(8))
    full = [("accounts/100", endpoint(number)) for number in range(6)]

    (found,) = await rounds(queue, 1, limit=2, full=full)

    assert found == [endpoint(6), endpoint(7)]


async def test_full_owners_hide_no_other(queue: Queue, store: AsyncEngine) -> None:
    """
    Nothing of an owner that has its share is claimed, however many endpoints it has.
    """
    await store_waiting(queue, store, 8, due=range(8))
    other = new_delivery(owner="accounts/200", endpoint=endpoint(1))
    await queue.insert([new_event(other)], LEASE)

    found = await claim(queue, limit=2, full_owners=["accounts/100"])

    assert [it.owner for it in found] == ["accounts/200"]
    assert len(await claim(queue, limit=10)) == 8


async def test_held_deliveries_are_left_out(queue: Queue, store: AsyncEngine) -> None:
    """
    What the process still has in its hands is not claimed by it; all else of the endpoint is.
    """
    await store_waiting(queue, store, 1, due=[0], each=4)
    first = [it.delivery_id for it in await claim(queue, per_endpoint=2)]
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(due_time=after(timedelta(seconds=-1))))

    others = [it.delivery_id for it in await claim(queue, held=first)]

    assert len(others) == 2
    assert not set(first) & set(others)
    assert sorted(it.delivery_id for it in await claim(queue)) == sorted(first)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_due_needs_no_lock(queue: Queue, store: AsyncEngine) -> None:
    """
    Where nothing is due SQLite's writers are not held up: a claim passes one by.
    """
    await store_waiting(queue, store, 20, due=[])

    async with writing(store):
        async with asyncio.timeout(20):
            assert await claim(queue) == []

"""
Results that the store does not take, while it gives out deliveries: what a living process knows
is not attempted again by it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery import batches, held_leases, results
from dispatch_service.domain.work import Claimed
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.database.engine import reading, writing
from tests.support.delivery_process import PAST, DeliveryProcess, day_keys, sealed_event
from tests.support.dispatch_factories import LEASE

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

EVENTS = 5
CLAIMS = 5
PATIENCE_SECONDS = 60


class UnwritableQueue:
    """
    A queue whose store takes no results until it is told to.
    """

    def __init__(self, queue: Queue, error: Exception) -> None:
        self.queue = queue
        self.error: Exception | None = error
        self.claims = 0
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)

    async def claim(self, *values: Any, **named: Any) -> Any:
        self.claims += 1
        return await self.queue.claim(*values, **named)

    async def settle(self, *values: Any) -> Any:
        if self.error is not None:
            self.refused += 1
            raise self.error
        return await self.queue.settle(*values)


ERRORS = [
    sa.exc.OperationalError("SETTLE", {}, ConnectionRefusedError()),
    sa.exc.ProgrammingError("SETTLE", {}, RuntimeError("a trigger refuses it")),
]


@pytest.fixture(params=ERRORS, ids=["away", "refuses"])
def unwritable(queue: Queue, request: pytest.FixtureRequest) -> UnwritableQueue:
    """
    Return a queue without its results, for each kind of error.
    """
    return UnwritableQueue(queue, request.param)


@pytest.fixture
async def sent(
    store: AsyncEngine, unwritable: UnwritableQueue, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Counter[str]]:
    """
    Yield how often each event was sent by a process whose results are not written.
    """
    for name in ("RETRY_SECONDS", "REFUSED_SECONDS"):
        monkeypatch.setattr(results, name, 0.01)
    monkeypatch.setattr(batches, "AGAIN_SECONDS", 0.1)
    sealer = await day_keys(store).today()
    await unwritable.insert([sealed_event(sealer) for _ in range(EVENTS)], LEASE)
    counts: Counter[str] = Counter()

    async def confirm(request: Claimed) -> int:
        counts[request.event_id] += 1
        return 200

    process = DeliveryProcess(store, cast(Queue, unwritable), confirm)
    await process.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while counts.total() < EVENTS or not unwritable.refused:
            await asyncio.sleep(0.01)
        yield counts
    await process.kill()


async def more_claims(store: AsyncEngine, unwritable: UnwritableQueue) -> None:
    """
    Let all leases expire, and wait until the process has claimed several times since.
    """
    leased = deliveries.c.lease_owner.is_not(None)
    for _ in range(CLAIMS):
        # One may have begun before.
        await another_claim(unwritable)
        async with writing(store) as db:
            await db.execute(sa.update(deliveries).where(leased).values(due_time=PAST))
        await another_claim(unwritable)


async def another_claim(unwritable: UnwritableQueue) -> None:
    """
    Wait until the process has begun and ended a claim from now on.
    """
    before = unwritable.claims
    while unwritable.claims < before + 2:
        await asyncio.sleep(0.01)


async def all_succeeded(store: AsyncEngine) -> None:
    """
    Wait until all deliveries have succeeded.
    """
    while True:
        async with reading(store) as db:
            states = list((await db.execute(sa.select(deliveries.c.state))).scalars())
        if states == ["SUCCEEDED"] * EVENTS:
            return
        await asyncio.sleep(0.01)


async def statuses(store: AsyncEngine) -> list[str]:
    """
    Return the statuses of all attempts.
    """
    async with reading(store) as db:
        return list((await db.execute(sa.select(attempts.c.status))).scalars())


@pytest.mark.slow
async def test_expired_lease_of_a_known_result_is_not_claimed(
    store: AsyncEngine,
    unwritable: UnwritableQueue,
    sent: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Nothing is sent twice or shown as interrupted, and the results are written in the end.
    """
    monkeypatch.setattr(held_leases, "MARGIN_SECONDS", 1000.0)

    await more_claims(store, unwritable)
    unwritable.error = None
    await all_succeeded(store)

    assert set(sent.values()) == {1}
    assert await statuses(store) == ["SUCCESS"] * EVENTS


@pytest.mark.slow
async def test_lease_that_expires_by_a_step_of_the_clock_is_released(
    store: AsyncEngine, unwritable: UnwritableQueue, sent: Counter[str]
) -> None:
    """
    Where the database's clock says so before ours, nothing is sent twice either; the results
    come late and settle their deliveries.
    """
    await more_claims(store, unwritable)
    unwritable.error = None
    await all_succeeded(store)

    assert set(sent.values()) == {1}
    assert "SUCCESS" not in await statuses(store)

"""
Results on their way to the store, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery import recorder as recorder_module
from dispatch_service.delivery.recorder import Made, Recorder
from dispatch_service.delivery.results import Settler
from dispatch_service.domain.deliveries import cancel, succeed
from dispatch_service.domain.outcomes import Response, from_response
from dispatch_service.domain.work import Claimed, NewEvent, Release, Settlement
from dispatch_service.log.attempts import seal_exchange
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import deliveries
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.keys.keyring import KeyRing
from tests.support.dispatch_factories import (
    LEASE,
    NOW,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorder(store: AsyncEngine) -> Recorder:
    """
    Return what works out what is written of attempts.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    keys = DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    return Recorder(SubscriptionIndex(), keys)


def result_of(event: NewEvent) -> Settlement:
    """
    Make the result of a success.
    """
    claimed = claimed_of(event)
    return Settlement(claimed, succeed(0), attempt(claimed), 200)


def attempt_made(event: NewEvent) -> Made:
    """
    Make an attempt that the receiver confirmed.
    """
    outcome = from_response(Response(status_code=200), lambda: NOW)
    return Made(claimed_of(event), subscription(), outcome, (), NOW)


async def states(store: AsyncEngine) -> list[str]:
    """
    Return the states of all deliveries, in the order of their ids.
    """
    query = sa.select(deliveries.c.state).order_by(deliveries.c.delivery_id)
    async with reading(store) as db:
        return list((await db.execute(query)).scalars())


async def test_result_that_the_store_refuses_holds_nobody_up(
    queue: Queue, store: AsyncEngine, recorder: Recorder
) -> None:
    """
    One that cannot be written is put aside, and its lease runs out; all others are written.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(9)]
    await queue.store_events(events, LEASE)
    results = [result_of(event) for event in events]
    record = results[4].attempt
    assert record is not None
    bad = replace(record, status=cast(str, None))
    results[4] = replace(results[4], attempt=bad)
    settler = Settler(queue, recorder)
    for result in results:
        settler.settle(result)

    settler.stop(60)
    async with asyncio.timeout(60):
        await settler.run()

    expected = ["SUCCEEDED"] * 9
    expected[4] = "DELIVERING"
    assert await states(store) == expected


async def test_result_that_a_fault_of_ours_keeps_from_being_written_concerns_nobody_else(
    queue: Queue, store: AsyncEngine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The others of its batch are written at once; its lease brings the one back.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(3)]
    await queue.store_events(events, LEASE)
    made = [attempt_made(event) for event in events]
    seal = seal_exchange

    def broken(claimed: Claimed, *args: Any) -> bytes:
        if claimed == made[1].claimed:
            raise ZeroDivisionError
        return seal(claimed, *args)

    monkeypatch.setattr(recorder_module, "seal_exchange", broken)
    settler = Settler(queue, recorder)
    for it in made:
        settler.settle(it)

    assert await settler.flush_once() == 3

    assert settler.waiting == 0
    assert await states(store) == ["SUCCEEDED", "DELIVERING", "SUCCEEDED"]


async def test_end_without_an_attempt_needs_no_key(
    queue: Queue, store: AsyncEngine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What is cancelled or expired is written although nothing could be sealed.
    """
    event = new_event(new_delivery(leased=True))
    await queue.store_events([event], LEASE)
    monkeypatch.delattr(recorder, "_keys")
    settler = Settler(queue, recorder)
    settler.settle(Settlement(claimed_of(event), cancel(0), None))

    await settler.flush_once()

    assert await states(store) == ["CANCELLED"]


class Away:
    """
    A queue whose store is away for the first *times* of each kind of writing.
    """

    def __init__(self, queue: Queue, times: int) -> None:
        self._queue = queue
        self._left = {"settle": times, "release": times}

    def __getattr__(self, name: str) -> Any:
        if self._left.get(name, 0) > 0:
            self._left[name] -= 1
            return self._refuse
        return getattr(self._queue, name)

    async def _refuse(self, *_: Any) -> None:
        raise ConnectionRefusedError(111, "the database is away")


@pytest.mark.parametrize("times", [1, 2])
async def test_results_outlive_a_store_that_is_away(
    queue: Queue, store: AsyncEngine, recorder: Recorder, times: int
) -> None:
    """
    What could not be written is kept and written when the store is back, also when the
    service ends meanwhile.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(5)]
    await queue.store_events(events, LEASE)
    settler = Settler(cast(Queue, Away(queue, times)), recorder)
    for event in events[:3]:
        settler.settle(result_of(event))
    for event in events[3:]:
        settler.release(Release(claimed_of(event), None))

    settler.stop(60)
    async with asyncio.timeout(60):
        await settler.run()

    assert await states(store) == ["SUCCEEDED"] * 3 + ["PENDING"] * 2


async def test_stopping_does_not_wait_for_ever(
    queue: Queue, store: AsyncEngine, recorder: Recorder
) -> None:
    """
    A store that stays away ends the patience; the leases take care of the rest.
    """
    event = new_event(new_delivery(leased=True))
    await queue.store_events([event], LEASE)
    settler = Settler(cast(Queue, Away(queue, 1_000_000)), recorder)
    settler.settle(result_of(event))

    settler.stop(0)
    async with asyncio.timeout(60):
        await settler.run()

    assert settler.waiting == 1
    assert await states(store) == ["DELIVERING"]

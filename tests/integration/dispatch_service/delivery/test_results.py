"""
Results on their way to the store, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery import results as results_module
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import FinishedAttempt
from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.outcomes import FailureKind, Response, failed, from_response
from dispatch_service.domain.transitions import State, cancel, retry, succeed
from dispatch_service.domain.work import Claimed, NewEvent, Settlement, Suspend
from dispatch_service.log.attempts import attempt_record
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
def keys(store: AsyncEngine) -> DayKeys:
    """
    Return the keys that seal what the log keeps of attempts.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    return DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock


@pytest.fixture
def writer(queue: Queue, keys: DayKeys) -> ResultWriter:
    """
    Return a writer of results; nothing follows from them.
    """
    return ResultWriter(queue, SubscriptionIndex(), keys)


def result_of(event: NewEvent) -> Settlement:
    """
    Make the result of a success.
    """
    claimed = claimed_of(event)
    return Settlement(claimed, succeed(0), attempt(claimed), 200)


def finished_attempt(event: NewEvent) -> FinishedAttempt:
    """
    Make an attempt that the receiver confirmed.
    """
    outcome = from_response(Response(status_code=200), lambda: NOW)
    return FinishedAttempt(claimed_of(event), subscription(), outcome, (), NOW)


async def states(store: AsyncEngine) -> list[str]:
    """
    Return the states of all deliveries, in the order of their ids.
    """
    query = sa.select(deliveries.c.state).order_by(deliveries.c.delivery_id)
    async with reading(store) as db:
        return list((await db.execute(query)).scalars())


@pytest.mark.slow
async def test_result_that_the_store_refuses_holds_nobody_up(
    queue: Queue, store: AsyncEngine, writer: ResultWriter
) -> None:
    """
    One that cannot be written is set aside, and its lease runs out; all others are written.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(9)]
    await queue.insert(events, LEASE)
    results = [result_of(event) for event in events]
    record = results[4].attempt
    assert record is not None
    bad = replace(record, status=cast(str, None))
    results[4] = replace(results[4], attempt=bad)
    for result in results:
        writer.settle(result)

    writer.stop(60)
    async with asyncio.timeout(60):
        await writer.run()

    expected = ["SUCCEEDED"] * 9
    expected[4] = "DELIVERING"
    assert await states(store) == expected


async def test_ended_deliveries_are_counted(queue: Queue, writer: ResultWriter) -> None:
    """
    Once for each that ends: not when it waits for its next attempt, and not when one that had
    succeeded was sent again.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(3)]
    await queue.insert(events, LEASE)
    writer.unfinished.add(["accounts/100"] * 3)
    ended, later, resent = map(result_of, events)
    waits = retry(1, timedelta(seconds=5), FailureKind.TIMEOUT)
    writer.settle(ended)
    writer.settle(replace(later, transition=waits, attempt=None))
    writer.settle(replace(resent, claimed=replace(resent.claimed, state=State.SUCCEEDED)))

    await writer.flush_once()

    assert (writer.unfinished.total, writer.unfinished.of("accounts/100")) == (2, 2)


@pytest.mark.parametrize("kind", [FailureKind.CONNECTION_LOST, FailureKind.STALE_TOKEN])
async def test_lost_connection_and_stale_token_are_repeated_at_once(
    queue: Queue, keys: DayKeys, kind: FailureKind
) -> None:
    """
    The delivery can be claimed at once, for the next attempt at the same step of its schedule.
    """
    woken = asyncio.Event()
    writer = ResultWriter(queue, SubscriptionIndex(), keys, unblocked=woken.set)
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    lost = failed(kind, "the request is repeated")
    writer.settle(FinishedAttempt(claimed_of(event), subscription(), lost, (), NOW))

    await writer.flush_once()

    assert woken.is_set()
    (claimed,) = await queue.claim(LEASE, limit=9, per_endpoint=9, full=())
    assert (claimed.number, claimed.retries_used, claimed.trigger) == (2, 0, "RETRY")
    assert claimed.last_failure == kind


async def test_result_that_a_fault_of_ours_keeps_from_being_written_concerns_nobody_else(
    queue: Queue, store: AsyncEngine, writer: ResultWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The others of its batch are written at once; its lease brings the one back.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(3)]
    await queue.insert(events, LEASE)
    attempts = [finished_attempt(event) for event in events]

    def broken(claimed: Claimed, *args: Any, **others: Any) -> AttemptRecord:
        if claimed == attempts[1].claimed:
            raise ZeroDivisionError
        return attempt_record(claimed, *args, **others)

    monkeypatch.setattr(results_module, "attempt_record", broken)
    for it in attempts:
        writer.settle(it)

    assert await writer.flush_once() == 3

    assert writer.waiting == 0
    assert await states(store) == ["SUCCEEDED", "DELIVERING", "SUCCEEDED"]


async def test_end_without_an_attempt_needs_no_key(
    queue: Queue, store: AsyncEngine, writer: ResultWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A delivery that is cancelled or expired is written although nothing could be sealed.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    monkeypatch.delattr(writer, "_keys")
    writer.settle(Settlement(claimed_of(event), cancel(0), None))

    await writer.flush_once()

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


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
async def test_results_outlive_a_store_that_is_away(
    queue: Queue, store: AsyncEngine, keys: DayKeys, times: int
) -> None:
    """
    Results that could not be written are kept and written when the store is back, also when
    the service is stopped meanwhile.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(5)]
    await queue.insert(events, LEASE)
    writer = ResultWriter(cast(Queue, Away(queue, times)), SubscriptionIndex(), keys)
    for event in events[:3]:
        writer.settle(result_of(event))
    for event in events[3:]:
        writer.release(Suspend(claimed_of(event), 1))

    writer.stop(60)
    async with asyncio.timeout(60):
        await writer.run()

    assert await states(store) == ["SUCCEEDED"] * 3 + ["PENDING"] * 2


@pytest.mark.slow
async def test_stopping_does_not_wait_for_ever(
    queue: Queue, store: AsyncEngine, keys: DayKeys
) -> None:
    """
    If the store stays away, the writer ends after its time; leases protect the rest.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    writer = ResultWriter(cast(Queue, Away(queue, 1_000_000)), SubscriptionIndex(), keys)
    writer.settle(result_of(event))

    writer.stop(0)
    async with asyncio.timeout(60):
        await writer.run()

    assert writer.waiting == 1
    assert await states(store) == ["DELIVERING"]

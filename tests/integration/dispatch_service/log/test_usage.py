"""
How much the log keeps of owners in a day, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import FinishedAttempt
from dispatch_service.domain.outcomes import Response, from_response
from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Settlement
from dispatch_service.log.exchanges import Detail, KeptExchange, read_exchange
from dispatch_service.log.usage import KEPT_DAYS, LogUsage, LogUsageSync
from dispatch_service.queue.claimed import delivery_hex
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import attempts, log_usage
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading, writing
from service_runtime.keys.keyring import KeyRing
from tests.support.dispatch_factories import (
    LEASE,
    NOW,
    attempt,
    claimed,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)

pytestmark = pytest.mark.anyio

OWNER, LIMIT = "accounts/100", 100_000
TODAY = 20_000


def written(owner: str, size: int) -> Settlement:
    """
    Make the result of an attempt whose exchange has so many bytes.
    """
    it = claimed(owner=owner)
    return Settlement(it, succeed(0), replace(attempt(it), sealed_exchange=b"x" * size))


def process(store: AsyncEngine, day: int = TODAY) -> tuple[LogUsage, LogUsageSync]:
    """
    Make what a process has that has just started.
    """
    usage = LogUsage(LIMIT)
    usage.begin_day(day)
    return usage, LogUsageSync(store, usage)


async def rows(store: AsyncEngine) -> dict[tuple[str, int], int]:
    """
    Return the bytes in the table by owner and day.
    """
    async with reading(store) as db:
        return {(it.owner, it.day): it.bytes for it in await db.execute(sa.select(log_usage))}


async def test_processes_add_up(store: AsyncEngine) -> None:
    """
    The log of an owner is full when all of them together have filled it; a new day empties it.
    """
    (first, sync_first), (second, sync_second) = process(store), process(store)
    first.add([written(OWNER, LIMIT // 2), written("accounts/200", 5)])
    second.add([written(OWNER, LIMIT // 2)])

    await sync_first.run_once()
    assert not first.is_full(OWNER)
    await sync_second.run_once()
    assert second.is_full(OWNER)
    first.add([written(OWNER, 1)])
    await sync_first.run_once()
    await sync_first.run_once()

    assert first.is_full(OWNER)
    assert not first.is_full("accounts/200")
    assert first.full_count() == 1
    assert await rows(store) == {(OWNER, TODAY): LIMIT + 1, ("accounts/200", TODAY): 5}
    first.begin_day(TODAY + 1)
    assert not first.is_full(OWNER)
    assert first.unsaved() == {}


async def test_own_bytes_count_at_once(store: AsyncEngine) -> None:
    """
    Also those that are written while the table is asked.
    """
    usage, _ = process(store)
    usage.add([written(OWNER, LIMIT - 2)])
    before = usage.unsaved()
    usage.add([written(OWNER, 1)])

    usage.saved(TODAY, before, {OWNER: LIMIT - 2})

    assert not usage.is_full(OWNER)
    assert usage.unsaved() == {OWNER: 1}
    usage.add([written(OWNER, 1)])
    assert usage.is_full(OWNER)
    usage.saved(TODAY - 1, {OWNER: 1}, {OWNER: 0})
    assert usage.unsaved() == {OWNER: 2}


async def test_old_days_are_deleted(store: AsyncEngine) -> None:
    """
    Some days stay, for those who look for what filled the log.
    """
    async with writing(store) as db:
        old = [{"owner": OWNER, "day": TODAY - age, "bytes": 1} for age in range(10)]
        await db.execute(sa.insert(log_usage), old)
    usage, sync = process(store)
    usage.add([written(OWNER, 1)])

    await sync.run_once()

    assert sorted(TODAY - day for _, day in await rows(store)) == list(range(KEPT_DAYS + 1))


async def exchanges(store: AsyncEngine, keys: DayKeys) -> list[KeptExchange]:
    """
    Open what the log has kept of attempts, in their order.
    """
    query = sa.select(attempts).order_by(attempts.c.settle_time)
    async with reading(store) as db:
        found = (await db.execute(query)).all()
    return [
        read_exchange(
            await keys.open(
                row.sealed_exchange,
                associated_data.exchange(row.owner, delivery_hex(row.delivery_id), row.number),
            )
        )
        for row in found
    ]


async def test_receiver_cannot_fill_the_log(store: AsyncEngine, queue: Queue) -> None:
    """
    It answers 24 KiB to each of many attempts: when its owner's log is full they are still
    logged, without headers, and the log of another owner is not concerned.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    keys = DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    writer = ResultWriter(queue, SubscriptionIndex(), keys, log_usage=LogUsage(LIMIT))
    headers = tuple((f"x-{n}".encode(), b"h" * 1000) for n in range(8))
    answer = Response(status_code=500, headers=headers, body=b"b" * 16384)
    outcome = from_response(answer, lambda: NOW)
    for owner in (OWNER,) * 10 + ("accounts/200",):
        event = new_event(new_delivery(owner=owner, leased=True))
        await queue.insert([event], LEASE)
        writer.settle(
            FinishedAttempt(claimed_of(event), subscription(), outcome, ((b"a", b"b"),), NOW)
        )
        await writer.flush_once()

    kept = await exchanges(store, keys)

    assert [it.detail for it in kept] == [Detail.WHOLE] * 5 + [Detail.LIMITED] * 5 + [Detail.WHOLE]
    assert {len(it.response_body) for it in kept} == {16384, 256}
    assert [it.response_headers for it in kept[5:10]] == [()] * 5
    assert all(it.body_truncated for it in kept[5:10])


async def test_attempts_between_the_first_and_the_last_are_shortened(
    store: AsyncEngine, queue: Queue
) -> None:
    """
    A delivery that is tried again and again keeps two whole answers.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    keys = DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    wanted = subscription(schedule=(timedelta(),) * 2)
    await queue.insert([new_event(new_delivery())], LEASE)
    answer = from_response(Response(status_code=500, body=b"b" * 16384), lambda: NOW)
    for _ in range(3):
        (taken,) = await queue.claim(LEASE, limit=1, per_endpoint=1, full=())
        writer.settle(FinishedAttempt(taken, wanted, answer, (), NOW))
        await writer.flush_once()

    kept = await exchanges(store, keys)

    assert [it.detail for it in kept] == [Detail.WHOLE, Detail.SHORTENED, Detail.WHOLE]
    assert [len(it.response_body) for it in kept] == [16384, 2048, 16384]

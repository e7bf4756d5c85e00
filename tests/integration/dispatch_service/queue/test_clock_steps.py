"""
Times that were written before the database's clock stepped, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import WaitReason, retry
from dispatch_service.domain.work import Claimed, Lease, Requeue, Settlement, Suspend
from dispatch_service.queue import clock_steps
from dispatch_service.queue.dialects import clause
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import attempts, deliveries, dispatchers, endpoint_states
from service_runtime.database.engine import writing
from service_runtime.database.instants import after, database_now
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLACK = timedelta(seconds=30)
LIFETIME = 4 * HOUR


async def store_leased(queue: Queue, name: str) -> Claimed:
    """
    Store a delivery that is leased.
    """
    delivery = new_delivery(subscription=name, leased=True, lifetime=LIFETIME)
    event = new_event(delivery)
    await queue.insert([event], LEASE)
    return claimed_of(event)


async def fail(queue: Queue, claimed: Claimed, delay: timedelta, reason: WaitReason) -> None:
    """
    Settle an attempt that failed.
    """
    record = attempt(claimed, status="FAILURE", failure_kind="timeout")
    moved = retry(1, delay, FailureKind.TIMEOUT, reason=reason, time_left=LIFETIME)
    await queue.settle([Settlement(claimed, moved, record)])


async def store_all(queue: Queue) -> None:
    """
    Store a delivery for each reason to wait, named after it, and one that is leased.
    """
    await queue.insert([new_event(new_delivery(subscription="backlog", lifetime=LIFETIME))], LEASE)
    await store_leased(queue, "leased")
    await fail(queue, await store_leased(queue, "schedule"), MINUTE, WaitReason.SCHEDULE)
    await fail(queue, await store_leased(queue, "retry_after"), 2 * MINUTE, WaitReason.RETRY_AFTER)
    throttled = await store_leased(queue, "throttled")
    await queue.release([Requeue(throttled, MINUTE, WaitReason.THROTTLED)])
    await queue.release([Suspend(await store_leased(queue, "inactive"), 1)])


async def step_clock(store: AsyncEngine, step: timedelta) -> None:
    """
    Move all that was written the other way, which is what a step of the clock amounts to.
    """
    micros = -step // timedelta(microseconds=1)
    columns = {
        deliveries: ("create_time", "due_time", "expire_time"),
        attempts: ("settle_time", "next_attempt_time"),
        endpoint_states: ("open_until", "update_time", "open_since"),
        dispatchers: ("heartbeat_time",),
    }
    async with writing(store) as db:
        for table, names in columns.items():
            moved = {name: clause(f"{{@{name} + {micros}}}", {}) for name in names}
            await db.execute(sa.update(table).values(moved))


async def waits(store: AsyncEngine) -> Mapping[str, tuple[timedelta, timedelta]]:
    """
    Return how long deliveries still wait, and for how long after that they have time, by name.
    """
    columns = deliveries.c
    query = sa.select(columns.subscription, columns.due_time, columns.expire_time, database_now())
    async with store.connect() as db:
        rows = (await db.execute(query)).all()
    return {name: (due - now, expires - due) for name, due, expires, now in rows}


def near(found: timedelta, wanted: timedelta) -> bool:
    """
    Compare spans as exactly as the speed of this test allows.
    """
    return abs(found - wanted) < SLACK


async def test_what_waits_is_pulled_back(queue: Queue, store: AsyncEngine) -> None:
    """
    After a step back nothing waits longer than was meant, however often that is done.
    """
    await store_all(queue)
    before = await waits(store)
    await step_clock(store, -HOUR)

    for _ in range(2):
        await clock_steps.adjust(store, -HOUR, LEASE.duration)

    found = await waits(store)
    wanted = {
        "backlog": timedelta(),
        "leased": LEASE.duration,
        "schedule": MINUTE,
        "retry_after": 2 * MINUTE,
        "throttled": timedelta(),
        "inactive": LIFETIME,
    }
    assert {name for name, it in wanted.items() if not near(found[name][0], it)} == set()
    assert {name for name in wanted if not near(found[name][1], before[name][1])} == set()


async def test_leases_last_through_a_step_ahead(queue: Queue, store: AsyncEngine) -> None:
    """
    No lease is taken over for a step, and suspended deliveries are not cancelled by it, before
    and after the times are adjusted.
    """
    await store_all(queue)
    async with store.connect() as db:
        now = (await db.execute(sa.select(database_now()))).scalar_one()
    await step_clock(store, 9 * HOUR)
    trusting = Lease("other", LEASE.duration, trusted_until=now - 9 * HOUR + timedelta(seconds=5))
    ordinary = {"backlog", "schedule", "retry_after", "throttled"}

    claimed = await queue.claim(trusting, limit=100, per_endpoint=100, full=())

    assert {it.subscription for it in claimed} == ordinary
    assert {it.subscription for it in claimed if it.used_up} == set()
    for _ in range(2):
        await clock_steps.adjust(store, 9 * HOUR, LEASE.duration)
    assert await queue.claim(LEASE, limit=100, per_endpoint=100, full=()) == []
    found = await waits(store)
    assert near(found["leased"][0], LEASE.duration)
    assert near(found["inactive"][0], LIFETIME)
    assert near(found["inactive"][1], timedelta())


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_breakers_and_heartbeats_keep_their_spans(
    store: AsyncEngine, step: timedelta
) -> None:
    """
    A pause is as long as it was, and a breaker is open for as long as it has been.
    """
    state: dict[str, Any] = {
        "owner": "accounts/100",
        "endpoint": "https://a:443",
        "trips": 1,
        "open_until": after(5 * MINUTE),
        "update_time": database_now(),
        "open_since": after(-10 * HOUR),
    }
    async with writing(store) as db:
        await db.execute(sa.insert(endpoint_states).values(state))
        beat = {"name": "one", "heartbeat_time": database_now()}
        await db.execute(sa.insert(dispatchers).values(beat))
    await step_clock(store, step)

    for _ in range(2):
        await clock_steps.adjust(store, step, LEASE.duration)

    states, beats = endpoint_states.c, dispatchers.c
    beat_time = sa.select(beats.heartbeat_time).scalar_subquery()
    query = sa.select(states.open_until, states.open_since, beat_time, database_now())
    async with store.connect() as db:
        until, since, heartbeat, now = (await db.execute(query)).one()
    assert until - now < 5 * MINUTE + SLACK
    assert near(now - since, 10 * HOUR)
    assert heartbeat <= now


async def test_each_step_moves_once(queue: Queue, store: AsyncEngine) -> None:
    """
    A step, the same step back and another one each move what is suspended, by one process.
    """
    await queue.release([Suspend(await store_leased(queue, "inactive"), 1)])

    for step in (HOUR, -HOUR, 2 * HOUR):
        await clock_steps.adjust(store, step, LEASE.duration)
        await clock_steps.adjust(store, step + timedelta(milliseconds=300), LEASE.duration)

    assert near((await waits(store))["inactive"][0], LIFETIME + 2 * HOUR)

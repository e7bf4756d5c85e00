"""
What puts off the time at which a delivery expires, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import LONGEST_LIFETIME, WaitReason, fail, retry, succeed
from dispatch_service.domain.work import Claimed, NewEvent, Requeue, Settlement, Suspend
from dispatch_service.queue import waiting_moves
from dispatch_service.queue.dialects import clause
from dispatch_service.queue.protocol import Queue
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import writing
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SLACK = MINUTE
"""
How long this test may stand still between two steps.
"""


async def store_one(queue: Queue, **over: Any) -> NewEvent:
    """
    Store an event with one delivery, which has an hour.
    """
    event = new_event(new_delivery(**{"lifetime": HOUR} | over))
    await queue.insert([event], LEASE)
    return event


async def change(store: AsyncEngine, values: Mapping[str, Any]) -> None:
    """
    Change all deliveries.
    """
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(values))


async def pass_time(store: AsyncEngine, span: timedelta) -> None:
    """
    Change all deliveries as if they had been written earlier.
    """
    micros = span // timedelta(microseconds=1)
    names = ("create_time", "due_time", "expire_time")
    await change(store, {name: clause(f"{{@{name} - {micros}}}", {}) for name in names})


async def claim(queue: Queue) -> Claimed:
    """
    Claim the one delivery that is due.
    """
    (claimed,) = await queue.claim(LEASE, limit=100, per_endpoint=100, full=())
    return claimed


async def row_of(store: AsyncEngine) -> Any:
    """
    Read the one delivery.
    """
    async with store.connect() as db:
        return (await db.execute(sa.select(deliveries))).one()


async def settle(queue: Queue, claimed: Claimed, *, left: timedelta, delay: timedelta) -> None:
    """
    Settle a failed attempt.
    """
    record = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
    again = retry(claimed.retries_used + 1, delay, FailureKind.TIMEOUT, time_left=left)
    await queue.settle([Settlement(claimed, again, record)])


@pytest.mark.parametrize("leased", [False, True])
@pytest.mark.parametrize("away", [HOUR, 30 * DAY])
async def test_time_in_which_nobody_claims_does_not_count(
    queue: Queue, store: AsyncEngine, leased: bool, away: timedelta
) -> None:
    """
    However long nobody was there, a delivery has the time that it had when it was due or leased.
    """
    await store_one(queue, leased=leased)
    await pass_time(store, away)

    claimed = await claim(queue)

    assert HOUR - SLACK < claimed.time_left <= HOUR + SLACK
    assert not claimed.used_up


async def test_restart_of_the_only_process_uses_up_nothing(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    What a crash left leased has the time that it had.
    """
    if not isinstance(queue, SqliteQueue):
        return
    await store_one(queue, leased=True)
    await pass_time(store, 5 * DAY)

    await queue.end_leases()

    assert abs((await claim(queue)).time_left - HOUR) < SLACK


async def test_nothing_waits_for_more_than_forty_days(queue: Queue, store: AsyncEngine) -> None:
    """
    The time is put off to 40 days after acceptance at most; a later one, of a resend, stays.
    """
    await store_one(queue)
    await pass_time(store, LONGEST_LIFETIME)

    claimed = await claim(queue)

    assert claimed.expired
    assert not claimed.used_up
    row = await row_of(store)
    assert row.expire_time == row.create_time + LONGEST_LIFETIME
    await queue.release([Requeue(claimed)])
    await change(store, {"expire_time": clause("{now + 3600000000}", {})})
    assert abs((await claim(queue)).time_left - HOUR) < SLACK


async def test_delivery_that_is_due_too_late_has_expired(queue: Queue, store: AsyncEngine) -> None:
    """
    One that is due no earlier than it expires has expired, and is used up after an outcome.
    """
    await store_one(queue)
    await change(store, {"expire_time": deliveries.c.due_time, "retries_used": 1})

    claimed = await claim(queue)

    assert claimed.time_left == timedelta()
    assert claimed.used_up


async def test_attempt_leaves_the_time_that_it_found(queue: Queue, store: AsyncEngine) -> None:
    """
    A result sets the time anew, by the database's clock: however long the attempt has taken.
    """
    event = await store_one(queue, leased=True)
    await pass_time(store, DAY)

    await settle(queue, claimed_of(event), left=3 * HOUR, delay=HOUR)

    row = await row_of(store)
    assert row.expire_time - row.due_time == 2 * HOUR
    assert row.wait_reason == "schedule"


@pytest.mark.parametrize(
    ("reason", "left"), [(WaitReason.THROTTLED, HOUR - 10 * MINUTE), (WaitReason.BACKLOG, HOUR)]
)
async def test_only_limits_of_the_subscription_count(
    queue: Queue, store: AsyncEngine, reason: WaitReason, left: timedelta
) -> None:
    """
    A release with a delay uses up time only where the subscription's limits are the cause.
    """
    event = await store_one(queue, leased=True)
    await queue.release([Requeue(claimed_of(event), 10 * MINUTE, reason)])
    assert (await row_of(store)).wait_reason == reason
    await pass_time(store, 10 * MINUTE)

    assert abs((await claim(queue)).time_left - left) < SLACK


@pytest.mark.parametrize("leased", [False, True])
async def test_inactive_subscription_uses_up_time(
    queue: Queue, store: AsyncEngine, leased: bool
) -> None:
    """
    A suspended delivery expires at its time, by which it was overdue when it was suspended.
    """
    event = await store_one(queue, leased=leased)
    await pass_time(store, 5 * MINUTE)
    if leased:
        await queue.release([Suspend(claimed_of(event), 1)])
    else:
        await change(store, waiting_moves.SUSPEND_WAITING.values(endpoint=None, hold_us=None))
    row = await row_of(store)
    assert row.wait_reason == "inactive"
    assert row.due_time == row.expire_time
    await pass_time(store, 2 * HOUR)

    claimed = await claim(queue)

    assert claimed.time_left == timedelta()
    assert claimed.number == 1


@pytest.mark.parametrize("leased", [False, True])
@pytest.mark.parametrize("hold", [DAY, LONGEST_LIFETIME])
async def test_hold_uses_up_no_time(
    queue: Queue, store: AsyncEngine, hold: timedelta, leased: bool
) -> None:
    """
    A held delivery is due at the end of its hold; the rest is taken back when it is resumed.
    """
    event = await store_one(queue, leased=leased)
    if leased:
        await queue.release([Suspend(claimed_of(event), 1, hold=hold)])
    else:
        hold_us = hold // timedelta(microseconds=1)
        await change(store, waiting_moves.SUSPEND_WAITING.values(endpoint=None, hold_us=hold_us))
    row = await row_of(store)
    assert row.wait_reason == "held"
    assert abs(row.expire_time - row.due_time - HOUR) < SLACK
    await pass_time(store, 5 * HOUR)

    await change(store, waiting_moves.RESUME.values(endpoint=None))

    assert (await row_of(store)).wait_reason == "backlog"
    assert abs((await claim(queue)).time_left - HOUR) < SLACK


@pytest.mark.parametrize("failed", [False, True])
async def test_blocked_time_counts_only_behind_a_failure(
    queue: Queue, store: AsyncEngine, failed: bool
) -> None:
    """
    The next of a sequence begins its lifetime anew, unless their receiver has used it up.
    """
    first, second = (
        new_event(new_delivery(lifetime=HOUR, leased=leased, ordered=True))
        for leased in (True, False)
    )
    await queue.insert([first], LEASE)
    await queue.insert([second], LEASE)
    await pass_time(store, 2 * HOUR)
    held = claimed_of(first)
    moved = fail(0, FailureKind.TIMEOUT) if failed else succeed(0)
    over = {"status": "FAILURE", "failure_kind": "timeout"} if failed else {}

    await queue.settle([Settlement(held, moved, attempt(held, **over), 200)])

    claimed = await claim(queue)
    assert claimed.event_id == second.event_id
    assert abs(claimed.time_left - (-HOUR if failed else HOUR)) < SLACK

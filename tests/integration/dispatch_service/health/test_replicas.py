"""
The health of endpoints when several processes settle at the same time, which only PostgreSQL
allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import fail, retry, succeed
from dispatch_service.domain.work import Claimed, Settlement
from dispatch_service.feed import overrides, reports
from dispatch_service.health.health_log import HealthLog
from dispatch_service.health.judge import FailureStreak
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import SubscriptionKey
from dispatch_service.storage.schema import deliveries, subscription_health
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.keys.keyring import KeyRing
from tests.support.dispatch_factories import (
    LEASE,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)
from tests.support.locks import PATIENCE_SECONDS, waiting_sessions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

RING = KeyRing({"test": b"k" * 32}, b"h" * 32)
KEY = ("accounts/100", "shipped")
OTHER = ("accounts/100", "other")


class Replica:
    """
    A process that settles; `settle_slowly` commits only after `go_on`.
    """

    def __init__(self, queue: Queue, keys: DayKeys) -> None:
        self.queue = queue
        self.recorded, self.go_on = asyncio.Event(), asyncio.Event()
        index = SubscriptionIndex(received=True, complete=True)
        for _, name in (KEY, OTHER):
            index.put(subscription(subscription_id=name, deactivate_after=timedelta(hours=1)))
        self.log = HealthLog(queue, index, keys, LEASE, report_after=timedelta(minutes=1))

    async def settle_gone(self) -> None:
        """
        Settle an attempt that was answered with 410.
        """
        (settlement,) = await self._attempts([KEY[1]], failed=True)
        transition = fail(0, FailureKind.HTTP_STATUS, gone=True)
        gone = replace(settlement, transition=transition)
        await self.queue.settle([gone], self.log.on_settled)

    async def settle(self, *names: str, failed: bool = True) -> None:
        """
        Settle an attempt of each named subscription.
        """
        await self.queue.settle(await self._attempts(names, failed=failed), self.log.on_settled)

    async def settle_slowly(self, *names: str, failed: bool = True) -> None:
        """
        Settle, but keep the transaction open until `go_on` is set.
        """

        async def on_settled(db: AsyncConnection, held: Sequence[Settlement]) -> None:
            await self.log.on_settled(db, held)
            self.recorded.set()
            await self.go_on.wait()

        await self.queue.settle(await self._attempts(names, failed=failed), on_settled)

    async def _attempts(self, names: Sequence[str], *, failed: bool) -> list[Settlement]:
        events = [new_event(new_delivery(leased=True, subscription=name)) for name in names]
        await self.queue.insert(events, LEASE)
        return [_settled(claimed_of(it), failed=failed) for it in events]


def _settled(claimed: Claimed, *, failed: bool) -> Settlement:
    if not failed:
        return Settlement(claimed, succeed(0), attempt(claimed), 200)
    kind = FailureKind.HTTP_STATUS
    record = attempt(claimed, status="FAILURE", failure_kind=kind, response_code=500)
    return Settlement(claimed, retry(1, timedelta(hours=1), kind), record)


@pytest.fixture
async def replicas(store: AsyncEngine, queue: Queue) -> tuple[Replica, Replica]:
    """
    Return two replicas.
    """
    keys = DayKeys(store, RING, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    await keys.today()
    return Replica(queue, keys), Replica(queue, keys)


async def stored_streaks(store: AsyncEngine) -> dict[SubscriptionKey, FailureStreak]:
    """
    Return the rows of the table.
    """
    async with reading(store) as db:
        rows = (await db.execute(sa.select(subscription_health))).all()
    return {
        (row.owner, row.subscription): FailureStreak(
            row.failing_since, row.failed_attempts, row.reported
        )
        for row in rows
    }


async def one_after_the_other(
    store: AsyncEngine, first: Replica, second: Replica, *, failed: bool = True
) -> None:
    """
    Let *second* settle a failure while *first* has not committed its attempt.
    """
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(first.settle_slowly(KEY[1], failed=failed))
        await first.recorded.wait()
        group.create_task(second.settle(KEY[1]))
        await waiting_sessions(store)
        first.go_on.set()


async def test_failures_of_two_replicas_add_up(
    store: AsyncEngine, replicas: tuple[Replica, Replica]
) -> None:
    """
    A process that waited for a row continues with the values of the other one: count, first
    failure, and whether it was reported.
    """
    await replicas[0].settle(KEY[1])
    async with writing(store) as db:
        values = {"failing_since": after(-timedelta(minutes=50)), "reported": True}
        await db.execute(sa.update(subscription_health).values(values))
    before = (await stored_streaks(store))[KEY]

    await one_after_the_other(store, *replicas)

    after_both = FailureStreak(before.failing_since, 3, reported=True)
    assert (await stored_streaks(store))[KEY] == after_both


async def test_first_failures_of_two_replicas_add_up(
    store: AsyncEngine, replicas: tuple[Replica, Replica]
) -> None:
    """
    First failures add up as well, though there is no row yet to wait for.
    """
    await one_after_the_other(store, *replicas)

    assert (await stored_streaks(store))[KEY].failed_attempts == 2


async def test_failure_after_a_recovery_counts(
    store: AsyncEngine, replicas: tuple[Replica, Replica]
) -> None:
    """
    A failure that waited while another process deleted the row starts a new streak.
    """
    await replicas[0].settle(KEY[1], KEY[1])

    await one_after_the_other(store, *replicas, failed=False)

    assert (await stored_streaks(store))[KEY].failed_attempts == 1


async def test_replicas_lock_in_the_same_order(
    store: AsyncEngine, replicas: tuple[Replica, Replica]
) -> None:
    """
    A process that waits for a row holds no later row, so there is no deadlock.
    """
    await replicas[0].settle(KEY[1], OTHER[1])
    columns = subscription_health.c
    one = sa.select(subscription_health).with_for_update(nowait=True)
    async with asyncio.TaskGroup() as group, writing(store) as db:
        await db.execute(one.where(columns.subscription == OTHER[1]))
        group.create_task(replicas[0].settle(KEY[1], OTHER[1]))
        group.create_task(replicas[1].settle(OTHER[1], KEY[1]))
        await waiting_sessions(store, 2)

        await db.execute(one.where(columns.subscription == KEY[1]))

    assert {it.failed_attempts for it in (await stored_streaks(store)).values()} == {3}


async def test_two_replicas_report_gone_once(
    store: AsyncEngine, replicas: tuple[Replica, Replica]
) -> None:
    """
    A process that gets a 410 after another process reports nothing.
    """
    await replicas[0].settle_gone()
    await replicas[1].settle_gone()

    async with reading(store) as db:
        assert len(await reports.oldest_reports(db, 10)) == 1


async def test_gone_waits_for_no_waiting_delivery(
    store: AsyncEngine, replicas: tuple[Replica, Replica]
) -> None:
    """
    The results of a 410 are written at once, whoever has locked the waiting deliveries.
    """
    waiting = new_event(new_delivery(subscription=KEY[1]))
    await replicas[0].queue.insert([waiting], LEASE)
    held = sa.select(deliveries).where(deliveries.c.event_id == waiting.event_id)
    async with asyncio.timeout(PATIENCE_SECONDS), writing(store) as db:
        await db.execute(held.with_for_update())

        await replicas[0].settle_gone()

    async with reading(store) as db:
        assert await overrides.overrides(db) == {"accounts/100/subscriptions/shipped": 1}

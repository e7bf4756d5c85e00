"""
Backlog updates of one subscription, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.work import Suspend
from dispatch_service.feed import backlog_statements, backlog_updater, backlog_updates
from dispatch_service.feed.backlog_updater import MARGIN
from dispatch_service.feed.backlog_updates import SUPERSEDED, BacklogAction, BacklogUpdate
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import backlog_updates as updates_table
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from shipedge.webhooks.config.v1 import subscription_pb2
from tests.support.backlog_update_checks import (
    RESUME,
    SUSPEND,
    apply_updates,
    change_status,
    record,
    recorded,
    suspended,
    wait_for,
)
from tests.support.dispatch_factories import LEASE, claimed_of, new_delivery, new_event
from tests.support.figures import moved

pytestmark = pytest.mark.anyio


async def test_change_of_the_status_is_followed_in_batches(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The change itself touches no delivery; afterwards all of them are suspended, or due again.
    """
    monkeypatch.setattr(backlog_updater, "BATCH", 2)
    monkeypatch.setattr(backlog_updater, "TURN", 3)
    await wait_for(queue, 7)

    await change_status(store, 2, subscription_pb2.Subscription.STATUS_INACTIVE)
    assert await suspended(store) == 0
    assert await apply_updates(store) == 7
    assert await suspended(store) == 7
    assert await queue.claim(LEASE, limit=9, per_endpoint=9, full=()) == []

    await change_status(store, 3, subscription_pb2.Subscription.STATUS_ACTIVE)
    assert await apply_updates(store) == 7
    assert len(await queue.claim(LEASE, limit=9, per_endpoint=9, full=())) == 7


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(("held", "kind"), [(False, "subscription_deleted"), (True, "missing")])
async def test_metrics_count_what_a_deleted_subscription_cancels(
    queue: Queue, store: AsyncEngine, *, ordered: bool, held: bool, kind: str
) -> None:
    """
    Once each, in sequences too; the delivery of an attempt that is being made is not among them.
    """
    waiting = [new_event(new_delivery(ordered=ordered)) for _ in range(3)]
    await queue.insert([new_event(new_delivery(ordered=ordered, leased=True)), *waiting], LEASE)
    await record(
        store, BacklogUpdate("accounts/100", "shipped", 1, BacklogAction.CANCEL, held=held)
    )

    with moved(
        "webhooks_deliveries_ended_total", state="CANCELLED", failure_kind=kind
    ) as cancelled:
        await apply_updates(store)

    assert cancelled() == 3


async def test_crash_between_batches_loses_nothing(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Another process goes on where one died.
    """

    def die() -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(backlog_updater, "BATCH", 2)
    await wait_for(queue, 5)
    await record(store, SUSPEND)
    with pytest.raises(asyncio.CancelledError):
        await apply_updates(store, die)
    assert await suspended(store) == 2

    assert await apply_updates(store) == 3

    assert await suspended(store) == 5


async def test_newer_update_supersedes_the_work(queue: Queue, store: AsyncEngine) -> None:
    """
    Work for an update that does not hold any more changes nothing.
    """
    await wait_for(queue, 1)
    await record(store, SUSPEND)
    async with reading(store) as db:
        (old,) = await backlog_updates.due(db)
        ids = await backlog_statements.find(db, old.update, 10)
    await record(store, RESUME)

    async with writing(store) as db:
        assert await backlog_statements.change(db, old, ids) == SUPERSEDED

    assert await suspended(store) == 0


async def test_update_of_an_older_revision_is_not_recorded(store: AsyncEngine) -> None:
    """
    A process that is behind changes nothing; the same revision may be ended by its 410.
    """
    newer = BacklogUpdate("accounts/100", "shipped", 2, BacklogAction.RESUME)
    await record(store, newer)
    await record(store, SUSPEND)
    assert await recorded(store) == [newer]

    ended = BacklogUpdate("accounts/100", "shipped", 2, BacklogAction.SUSPEND)
    await record(store, ended)

    assert await recorded(store) == [ended]


async def test_delivery_that_is_suspended_too_late_is_due_again(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A process that does not know yet that a subscription is Active may still suspend a delivery
    that it holds; when no such lease is left, it is looked for.
    """
    held = new_event(new_delivery(leased=True))
    await queue.insert([held], LEASE)
    await record(store, RESUME)
    assert await apply_updates(store) == 0
    await queue.release([Suspend(claimed_of(held), 1)])
    assert (await suspended(store), await recorded(store)) == (1, [])

    async with writing(store) as db:
        past = after(-LEASE.duration - MARGIN - timedelta(seconds=1))
        await db.execute(sa.update(updates_table).values(create_time=past, due_time=past))
    assert await apply_updates(store) == 1

    assert await suspended(store) == 0
    async with reading(store) as db:
        assert (await db.execute(sa.select(updates_table))).all() == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_rows_that_others_hold_are_left_for_later(queue: Queue, store: AsyncEngine) -> None:
    """
    A batch waits for nobody, and what it passed by is found again.
    """
    await wait_for(queue, 3)
    await record(store, SUSPEND)
    async with writing(store) as db:
        await db.execute(sa.select(deliveries).limit(1).with_for_update())
        assert await apply_updates(store) == 2

    assert await apply_updates(store) == 1


async def test_deliveries_stay_in_their_sequence(queue: Queue, store: AsyncEngine) -> None:
    """
    Only the head of a sequence is due, so only it is suspended and due again.
    """
    made = [new_event(new_delivery(ordered=True)) for _ in range(3)]
    await queue.insert(made, LEASE)

    await record(store, SUSPEND)
    assert await apply_updates(store) == 1
    await record(store, RESUME)
    assert await apply_updates(store) == 1

    (head,) = await queue.claim(LEASE, limit=9, per_endpoint=9, full=())
    assert head.event_id == made[0].event_id

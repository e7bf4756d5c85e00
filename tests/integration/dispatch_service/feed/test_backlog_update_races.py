"""
Suspending deliveries of an Inactive subscription while the subscription changes.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.work import Suspend
from dispatch_service.feed import snapshot
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from service_runtime.keys.keyring import KeyRing
from shipedge.webhooks.config.v1 import (
    subscription_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.support.dispatch_factories import LEASE, claimed_of, new_delivery, new_event
from tests.support.lock_waits import settle_down

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = pytest.mark.anyio

RING = KeyRing({"test": b"k" * 32}, b"h" * 32)


async def follow(db: AsyncConnection, revision: int, *, active: bool) -> None:
    """
    Store a change of the subscription, as the feed client does.
    """
    status = subscription_pb2.Subscription.Status
    change = feed_service_pb2.FeedChange(revision=revision)
    change.subscription.subscription.name = "accounts/100/subscriptions/shipped"
    change.subscription.subscription.status = (
        status.STATUS_ACTIVE if active else status.STATUS_INACTIVE
    )
    await snapshot.store_changes(db, [change], RING, lambda _: "https://example.com:443")


async def row_of(store: AsyncEngine) -> Any:
    """
    Read the row of the one delivery.
    """
    async with store.connect() as db:
        return (await db.execute(sa.select(deliveries))).one()


async def test_delivery_is_not_suspended_after_a_reactivation(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A delivery that was to be suspended before its subscription changed is looked at again
    soon; one that is to be suspended after it is suspended.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    async with writing(store) as db:
        await follow(db, 1, active=False)

    async with writing(store) as db:
        await follow(db, 2, active=True)
        suspending = asyncio.create_task(queue.release([Suspend(claimed_of(event), 1)]))
        await settle_down(store, suspending)
    await suspending

    row = await row_of(store)
    assert row.state == "PENDING"
    assert row.due_time < row.expire_time
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(due_time=after(timedelta(seconds=-1))))
    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    await queue.release([Suspend(claimed, 2)])
    row = await row_of(store)
    assert row.due_time == row.expire_time


async def test_reactivation_waits_for_a_delivery_being_suspended(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A delivery that is suspended just before its subscription is Active again is due with the rest.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    async with writing(store) as db:
        await follow(db, 1, active=False)

    async def resume() -> None:
        async with writing(store) as db:
            await follow(db, 2, active=True)

    async with writing(store) as db:
        mine = sa.select(deliveries).with_for_update()
        await db.execute(mine)
        suspending = asyncio.create_task(queue.release([Suspend(claimed_of(event), 1)]))
        await settle_down(store, suspending)
        resuming = asyncio.create_task(resume())
        await settle_down(store, suspending, resuming)
    await asyncio.gather(suspending, resuming)
    runner = BacklogUpdater(store, timedelta(minutes=5), lambda: None)
    while await runner.run_once():
        pass

    row = await row_of(store)
    assert row.due_time < row.expire_time

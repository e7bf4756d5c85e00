"""
What tests of backlog updates have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.feed import backlog_updates, snapshot
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading, writing
from service_runtime.keys.keyring import KeyRing
from shipedge.webhooks.config.v1 import (
    subscription_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

RING = KeyRing({"test": b"k" * 32}, b"h" * 32)
ENDPOINT = "https://example.com:443"
NAME = "accounts/100/subscriptions/shipped"
SUSPEND = BacklogUpdate("accounts/100", "shipped", 1, BacklogAction.SUSPEND)
RESUME = BacklogUpdate("accounts/100", "shipped", 1, BacklogAction.RESUME)
Status = subscription_pb2.Subscription.Status


async def record(store: AsyncEngine, *updates: BacklogUpdate) -> None:
    """
    Record updates.
    """
    async with writing(store) as db:
        await backlog_updates.record(db, updates)


async def recorded(store: AsyncEngine) -> list[BacklogUpdate]:
    """
    Return the updates that are to be applied now.
    """
    async with reading(store) as db:
        return [it.update for it in await backlog_updates.due(db)]


async def suspended(store: AsyncEngine) -> int:
    """
    Count the deliveries that are suspended.
    """
    columns = deliveries.c
    query = sa.select(sa.func.count()).where(columns.wait_reason.in_(("inactive", "held")))
    async with reading(store) as db:
        return int((await db.execute(query)).scalar_one())


def nobody() -> None:
    """
    Wake nobody.
    """


async def apply_updates(store: AsyncEngine, became_due: Callable[[], None] = nobody) -> int:
    """
    Apply updates until nothing is left to be changed; return how many deliveries were.
    """
    working, total = BacklogUpdater(store, LEASE.duration, became_due), 0
    while changed := await working.run_once():
        total += changed
    return total


async def wait_for(queue: Queue, count: int) -> None:
    """
    Store deliveries that wait.
    """
    await queue.insert([new_event(new_delivery()) for _ in range(count)], LEASE)


async def change_status(store: AsyncEngine, revision: int, status: Status.ValueType) -> None:
    """
    Store a change of the subscription, as the feed client does.
    """
    changed = subscription_pb2.Subscription(name=NAME, status=status)
    fed = feed_service_pb2.FeedSubscription(subscription=changed)
    change = feed_service_pb2.FeedChange(revision=revision, subscription=fed)
    async with writing(store) as db:
        await snapshot.store_changes(db, [change], RING, lambda _: ENDPOINT)


async def rows_of(store: AsyncEngine) -> Sequence[Any]:
    """
    Read the deliveries in the order of their positions and ids.
    """
    columns = deliveries.c
    async with reading(store) as db:
        query = sa.select(deliveries).order_by(columns.sequence_position, columns.delivery_id)
        return (await db.execute(query)).all()


async def store_change(store: AsyncEngine, change: feed_service_pb2.FeedChange) -> None:
    """
    Store a change, as the feed client does.
    """
    async with writing(store) as db:
        await snapshot.store_changes(db, [change], RING, lambda url: url)

"""
The last snapshot of the config service's resources in our own database, resealed
with our own key ring; and what a change means for deliveries that are waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.deliveries import State
from dispatch_service.outcomes import FailureKind
from dispatch_service.schema import deliveries, feed_resources, feed_state
from shipedge.webhooks.config.v1 import feed_service_pb2, subscription_pb2
from shipedge.webhooks.runtime.database import database_now, reading
from shipedge.webhooks.runtime.keyring import KeyRing, Place

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_BATCH = 500


def change_name(change: feed_service_pb2.FeedChange) -> str:
    """
    Return the name of the resource that changed.
    """
    kind = change.WhichOneof("change")
    if kind == "deleted_name":
        return change.deleted_name
    if kind == "caller":
        return change.caller.caller.name
    return str(getattr(change, kind or "").name)


def resource_place(name: str) -> Place:
    """
    Say where a resource of the snapshot lies.
    """
    return Place("feed_resources", (name,), "sealed")


async def load(
    engine: AsyncEngine, ring: KeyRing
) -> tuple[int | None, list[feed_service_pb2.FeedChange]]:
    """
    Read the stored snapshot: its revision, None if there never was one, and the resources.
    """
    async with reading(engine) as db:
        revision = (await db.execute(sa.select(feed_state.c.revision))).scalar_one_or_none()
        rows = await db.execute(sa.select(feed_resources.c.name, feed_resources.c.sealed))
        resources = [
            feed_service_pb2.FeedChange.FromString(ring.open(sealed, resource_place(name)))
            for name, sealed in rows
        ]
    return revision, resources


async def store_changes(
    db: AsyncConnection, changes: Sequence[feed_service_pb2.FeedChange], ring: KeyRing
) -> None:
    """
    Store changes of the feed and do to waiting deliveries what follows from them.
    """
    newest = {change_name(change): change for change in changes}
    rows = [
        {
            "name": name,
            "kind": change.WhichOneof("change"),
            "revision": change.revision,
            "sealed": ring.seal(change.SerializeToString(), resource_place(name)),
        }
        for name, change in newest.items()
        if change.WhichOneof("change") != "deleted_name"
    ]
    names = list(newest)
    for start in range(0, len(names), _BATCH):
        part = names[start : start + _BATCH]
        await db.execute(sa.delete(feed_resources).where(feed_resources.c.name.in_(part)))
    if rows:
        await db.execute(sa.insert(feed_resources), rows)
    for name, change in newest.items():
        await _follow(db, name, change)


async def store_revision(db: AsyncConnection, revision: int) -> None:
    """
    Note how far the feed was applied.
    """
    await db.execute(sa.delete(feed_state))
    row = {"feed_state_id": 1, "revision": revision, "apply_time": database_now()}
    await db.execute(sa.insert(feed_state).values(row))


async def drop_others(db: AsyncConnection, names: Collection[str]) -> list[str]:
    """
    Drop the resources that a snapshot did not name; return their names.
    """
    stored = (await db.execute(sa.select(feed_resources.c.name))).scalars().all()
    gone = [name for name in stored if name not in names]
    for name in gone:
        await db.execute(sa.delete(feed_resources).where(feed_resources.c.name == name))
        await _follow(db, name, feed_service_pb2.FeedChange(deleted_name=name))
    return gone


async def _follow(db: AsyncConnection, name: str, change: feed_service_pb2.FeedChange) -> None:
    """
    Cancel what waits for a deleted subscription, park what waits for an Inactive one,
    make due again what was parked for one that is Active.
    """
    owner, found, subscription_id = name.partition("/subscriptions/")
    if not found:
        return
    waiting = sa.and_(
        deliveries.c.owner == owner,
        deliveries.c.subscription == subscription_id,
        deliveries.c.end_time.is_(None),
        deliveries.c.state == State.PENDING,
    )
    update = sa.update(deliveries).where(waiting)
    subscription = change.subscription
    if change.WhichOneof("change") == "deleted_name" or subscription.HasField("delete_time"):
        ended = {"state": State.CANCELLED, "end_time": database_now(), "due_time": None}
        await db.execute(update.values(**ended, failure_kind=FailureKind.INACTIVE))
    elif subscription.status == subscription_pb2.Subscription.STATUS_ACTIVE:
        parked = deliveries.c.due_time.is_(None)
        await db.execute(update.where(parked).values(due_time=database_now()))
    else:
        await db.execute(update.values(due_time=None))

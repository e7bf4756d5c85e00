"""
The last snapshot of the config service's resources in our own database, resealed
with our own key ring; and what a change means for deliveries that are waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service import health_store, order_lanes, parking_store
from dispatch_service.deliveries import State
from dispatch_service.lock_order import update_locked
from dispatch_service.outcomes import FailureKind
from dispatch_service.parking_store import Wish
from dispatch_service.schema import deliveries, feed_resources, feed_state
from shipedge.webhooks.config.v1 import feed_service_pb2, subscription_pb2
from shipedge.webhooks.runtime.database import database_now, reading
from shipedge.webhooks.runtime.keyring import KeyRing, Place

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

EndpointOf = Callable[[str], str]

_BATCH = 500

# Any number, as long as nothing else in the database takes the same lock.
_LOCK = 0x5E1B_FEED
_SUBSCRIPTIONS = "/subscriptions/"


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
    db: AsyncConnection,
    changes: Sequence[feed_service_pb2.FeedChange],
    ring: KeyRing,
    endpoint_of: EndpointOf,
) -> None:
    """
    Store changes of the feed and do to waiting deliveries what follows from them.

    *endpoint_of* gives the endpoint of an URL, empty for one that cannot be used.
    """
    await _take_turns(db)
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
    overridden = await _lift(db, newest)
    wanted = [
        name
        for name in await _with_unfinished(db, names)
        if await _follow(db, name, newest[name], endpoint_of)
    ]
    wishes = [_wish(name, newest[name], overridden=name in overridden) for name in wanted]
    await parking_store.note(db, wishes)


async def _take_turns(db: AsyncConnection) -> None:
    """
    Wait until no other process stores changes: all of them get the same ones at once.
    """
    if db.dialect.name == "postgresql":
        await db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


async def _lift(db: AsyncConnection, newest: Mapping[str, feed_service_pb2.FeedChange]) -> set[str]:
    """
    Lift the overrides that newer revisions end; return whose stand.
    """
    overrides = await health_store.overrides(db)
    ended = {
        name for name in overrides.keys() & newest.keys() if newest[name].revision > overrides[name]
    }
    for name in ended:
        await health_store.lift(db, *_split(name))
    return overrides.keys() - ended


async def store_revision(db: AsyncConnection, revision: int) -> None:
    """
    Note how far the feed was applied.
    """
    await db.execute(sa.delete(feed_state))
    row = {"feed_state_id": 1, "revision": revision, "apply_time": database_now()}
    await db.execute(sa.insert(feed_state).values(row))


async def is_outdated(db: AsyncConnection, name: str, revision: int) -> bool:
    """
    Tell whether a newer revision of a resource is stored.
    """
    columns = feed_resources.c
    query = sa.select(columns.revision).where(columns.name == name, columns.revision > revision)
    return (await db.execute(query)).one_or_none() is not None


async def stored_names(engine: AsyncEngine) -> set[str]:
    """
    Return the names of all resources that are stored.
    """
    async with reading(engine) as db:
        return set((await db.execute(sa.select(feed_resources.c.name))).scalars())


async def drop(db: AsyncConnection, names: Collection[str]) -> None:
    """
    Drop resources that are there no more, in the transaction that has stored the changes.
    """
    gone = list(names)
    for start in range(0, len(gone), _BATCH):
        part = gone[start : start + _BATCH]
        await db.execute(sa.delete(feed_resources).where(feed_resources.c.name.in_(part)))
    for name in await _with_unfinished(db, gone):
        await cancel_waiting(db, *_split(name))


def _split(name: str) -> tuple[str, str]:
    owner, _, subscription_id = name.partition(_SUBSCRIPTIONS)
    return owner, subscription_id


async def _with_unfinished(db: AsyncConnection, names: Sequence[str]) -> list[str]:
    """
    Find the subscriptions among *names* that have unfinished deliveries.
    """
    keys = [_split(name) for name in names if _SUBSCRIPTIONS in name]
    key = sa.tuple_(deliveries.c.owner, deliveries.c.subscription)
    found: list[Any] = []
    for start in range(0, len(keys), _BATCH):
        part = key.in_(keys[start : start + _BATCH])
        unfinished = deliveries.c.end_time.is_(None)
        query = sa.select(deliveries.c.owner, deliveries.c.subscription).where(part, unfinished)
        found += (await db.execute(query.distinct())).all()
    # In one order for all processes: each locks what waits for one after the other.
    return sorted(f"{owner}{_SUBSCRIPTIONS}{subscription_id}" for owner, subscription_id in found)


async def _follow(
    db: AsyncConnection, name: str, change: feed_service_pb2.FeedChange, endpoint_of: EndpointOf
) -> bool:
    """
    Do to the deliveries that wait for a subscription what follows from its change; return
    whether they still wait for it.
    """
    owner, subscription_id = _split(name)
    subscription = change.subscription
    if change.WhichOneof("change") == "deleted_name" or subscription.HasField("delete_time"):
        await cancel_waiting(db, owner, subscription_id)
        return False
    if not subscription.ordered:
        await order_lanes.dissolve(db, owner, subscription_id)
    endpoint = endpoint_of(subscription.url)
    moved = _update_waiting(owner, subscription_id, deliveries.c.endpoint != endpoint)
    await db.execute(moved.values(endpoint=endpoint))
    return True


def _wish(name: str, change: feed_service_pb2.FeedChange, *, overridden: bool) -> Wish:
    active = change.subscription.status == subscription_pb2.Subscription.STATUS_ACTIVE
    return Wish(*_split(name), change.revision, active and not overridden)


def _update_waiting(owner: str, subscription_id: str, *more: sa.ColumnElement[bool]) -> sa.Update:
    waiting = sa.and_(
        deliveries.c.owner == owner,
        deliveries.c.subscription == subscription_id,
        deliveries.c.end_time.is_(None),
        deliveries.c.state == State.PENDING,
        *more,
    )
    return update_locked(waiting)


async def cancel_waiting(db: AsyncConnection, owner: str, subscription_id: str) -> None:
    """
    Cancel what waits for a subscription that is deleted.
    """
    ended = {"state": State.CANCELLED, "end_time": database_now(), "due_time": None}
    lanes = await order_lanes.lock_all(db, owner, subscription_id)
    update = _update_waiting(owner, subscription_id)
    await db.execute(update.values(**ended, failure_kind=FailureKind.INACTIVE))
    await order_lanes.end(db, lanes)

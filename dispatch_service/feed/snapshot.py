"""
The last snapshot of the config service's resources, stored in the own database and sealed
with the own key ring, and the backlog updates that follow from its changes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dispatch_service.feed import backlog_decisions, backlog_updates, overrides
from dispatch_service.feed.backlog_decisions import EndpointOf
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.routing.subscriptions import SubscriptionKey
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import backlog_updates as updates_table
from dispatch_service.storage.schema import deliveries, feed_resources, feed_state
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from shipedge.webhooks.config.v1 import feed_service_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


_BATCH = 500
_LOADED = 2000

# Any number, as long as nothing else in the database takes the same lock.
_LOCK = 0x5E1B_FEED


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


async def stored_revision(engine: AsyncEngine) -> int | None:
    """
    Return the revision up to which the feed was applied, None if there never was a snapshot.
    """
    async with reading(engine) as db:
        return (await db.execute(sa.select(feed_state.c.revision))).scalar_one_or_none()


async def load(engine: AsyncEngine, ring: KeyRing) -> AsyncIterator[feed_service_pb2.FeedChange]:
    """
    Yield the stored resources, a part of which is in memory at a time. What another process
    stores meanwhile may be among them: read the revision before, and follow the feed from it.
    """
    columns = feed_resources.c
    query = sa.select(columns.name, columns.sealed).order_by(columns.name).limit(_LOADED)
    last = ""
    while True:
        async with reading(engine) as db:
            rows = (await db.execute(query.where(columns.name > last))).all()
        for name, sealed in rows:
            yield feed_service_pb2.FeedChange.FromString(
                ring.open(sealed, associated_data.feed_resource(name))
            )
        if len(rows) < _LOADED:
            return
        last = rows[-1].name


async def store_changes(
    db: AsyncConnection,
    changes: Sequence[feed_service_pb2.FeedChange],
    ring: KeyRing,
    endpoint_of: EndpointOf,
) -> None:
    """
    Store changes of the feed, and record the backlog updates that follow from them.

    *endpoint_of* gives the endpoint of a URL, empty for one that cannot be used.
    """
    await _lock_changes(db)
    newest = {change_name(change): change for change in changes}
    await _replace(db, newest, ring)
    overridden = await _end_overrides(db, newest)
    await backlog_updates.record(
        db,
        [
            backlog_decisions.decide(name, newest[name], endpoint_of, overridden=name in overridden)
            for name in await _with_backlog(db, list(newest))
        ],
    )


async def _replace(
    db: AsyncConnection, newest: Mapping[str, feed_service_pb2.FeedChange], ring: KeyRing
) -> None:
    """
    Replace the rows of resources by those of their newest changes.
    """
    rows = [
        {
            "name": name,
            "kind": change.WhichOneof("change"),
            "revision": change.revision,
            "sealed": ring.seal(change.SerializeToString(), associated_data.feed_resource(name)),
        }
        for name, change in newest.items()
        if change.WhichOneof("change") != "deleted_name"
    ]
    await _delete(db, list(newest))
    if rows:
        await db.execute(sa.insert(feed_resources), rows)


async def _delete(db: AsyncConnection, resources: Sequence[str]) -> None:
    for start in range(0, len(resources), _BATCH):
        part = resources[start : start + _BATCH]
        await db.execute(sa.delete(feed_resources).where(feed_resources.c.name.in_(part)))


async def _lock_changes(db: AsyncConnection) -> None:
    """
    Wait until no other process stores changes: all of them get the same ones at once.
    """
    if db.dialect.name == "postgresql":
        await db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


async def _end_overrides(
    db: AsyncConnection, newest: Mapping[str, feed_service_pb2.FeedChange]
) -> set[str]:
    """
    Lift the overrides of which a newer revision has come; return the names that are left.
    """
    overridden = await overrides.overrides(db)
    ended = {
        name
        for name in overridden.keys() & newest.keys()
        if newest[name].revision > overridden[name]
    }
    for name in ended:
        await overrides.lift(db, *names.split(name))
    return overridden.keys() - ended


async def store_revision(db: AsyncConnection, revision: int) -> None:
    """
    Store the revision up to which the feed was applied.
    """
    await db.execute(sa.delete(feed_state))
    row = {"feed_state_id": 1, "revision": revision, "apply_time": database_now()}
    await db.execute(sa.insert(feed_state).values(row))


async def is_outdated(db: AsyncConnection, name: str, revision: int) -> bool:
    """
    Return whether a newer revision of a resource is stored.
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


async def drop(db: AsyncConnection, dropped: Collection[str], revision: int) -> None:
    """
    Delete resources that are gone as of *revision*, and cancel what waits for them.

    To be called in the transaction that has stored the changes of the snapshot.
    """
    gone = list(dropped)
    await _delete(db, gone)
    ended = [
        BacklogUpdate(*names.split(name), revision, BacklogAction.CANCEL)
        for name in await _with_backlog(db, gone)
    ]
    await backlog_updates.record(db, ended)


async def _with_backlog(db: AsyncConnection, changed: Sequence[str]) -> list[str]:
    """
    Return the names among *changed* of subscriptions that have unfinished deliveries, or an
    older update that must not be applied any more.
    """
    keys = [names.split(name) for name in changed if names.is_subscription(name)]
    found: list[str] = []
    for start in range(0, len(keys), _BATCH):
        rows = await db.execute(_select_with_backlog(db.dialect.name, keys[start : start + _BATCH]))
        found += [names.subscription(row.owner, row.subscription) for row in rows]
    return found


def _select_with_backlog(dialect: str, keys: Sequence[SubscriptionKey]) -> sa.Select[Any]:
    """
    Select those of *keys* with a backlog, by one look into the index for each.
    """
    listed, owner, subscription = _listed(dialect, keys)
    one = sa.select(sa.literal(1)).where(
        deliveries.c.owner == owner,
        deliveries.c.subscription == subscription,
        deliveries.c.end_time.is_(None),
    )
    # A planner would turn EXISTS into a join, and read all that is unfinished for it.
    first = one.limit(1).correlate(listed).scalar_subquery()
    older = sa.select(sa.literal(1)).where(
        updates_table.c.owner == owner, updates_table.c.subscription == subscription
    )
    recorded = older.correlate(listed).scalar_subquery()
    chosen = sa.select(owner.label("owner"), subscription.label("subscription"))
    return chosen.select_from(listed).where(sa.or_(first.is_not(None), recorded.is_not(None)))


def _listed(dialect: str, keys: Sequence[SubscriptionKey]) -> tuple[Any, Any, Any]:
    """
    Make a table of *keys*, which come as one parameter, and its two columns.
    """
    text = sa.literal(json.dumps(keys), sa.Text)
    parts: list[Any]
    if dialect == "postgresql":
        array = sa.cast(text, postgresql.JSON)
        listed = sa.func.json_array_elements(array).table_valued("value", name="listed")
        parts = [listed.c.value.op("->>", return_type=sa.Text())(n) for n in range(2)]
    else:
        listed = sa.func.json_each(text).table_valued("value", name="listed")
        parts = [sa.func.json_extract(listed.c.value, f"$[{n}]") for n in range(2)]
    return listed, parts[0], parts[1]

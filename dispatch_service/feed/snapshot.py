"""
The last snapshot of the config service's resources, stored in the own database and sealed
with the own key ring, and the backlog updates that follow from its changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.feed import backlog_decisions, backlog_updates, held, overrides
from dispatch_service.feed.absence import Absence
from dispatch_service.feed.backlog_decisions import EndpointOf
from dispatch_service.feed.held import HeldReason
from dispatch_service.feed.position import NOWHERE, Position
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import feed_resources, feed_state
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


_BATCH = 500
_LOADED = 2000

# Any number, as long as nothing else in the database takes the same lock.
_LOCK = 0x5E1B_FEED


@dataclass(frozen=True, slots=True)
class StoredItem:
    """
    A stored resource; *change* is None if it cannot be opened.
    """

    name: str
    revision: int
    change: feed_service_pb2.FeedChange | None


def change_name(change: feed_service_pb2.FeedChange) -> str:
    """
    Return the name of the resource that changed.
    """
    kind = change.WhichOneof("change")
    if kind == "deleted_name":
        return change.deleted_name
    if kind == "caller":
        return change.caller.caller.name
    if kind == "signing_key":
        return change.signing_key.signing_key.name
    if kind == "subscription":
        return change.subscription.subscription.name
    return str(getattr(change, kind or "").name)


async def stored_position(engine: AsyncEngine) -> Position | None:
    """
    Return how far the feed was applied, None if there never was a snapshot. One that was stored
    before there were digests is nowhere.
    """
    async with reading(engine) as db:
        row = (await db.execute(sa.select(feed_state))).one_or_none()
    if row is None:
        return None
    return Position(row.revision, row.digest) if row.digest else NOWHERE


async def load(
    engine: AsyncEngine, ring: KeyRing, failures: FailureLog
) -> AsyncIterator[StoredItem]:
    """
    Yield the stored resources, a part of which is in memory at a time. What another process
    stores meanwhile may be among them: read the position before, and follow the feed from it.
    """
    columns = feed_resources.c
    query = sa.select(columns.name, columns.revision, columns.sealed).order_by(columns.name)
    query, last = query.limit(_LOADED), ""
    while True:
        async with reading(engine) as db:
            rows = (await db.execute(query.where(columns.name > last))).all()
        for name, revision, sealed in rows:
            change = None
            with failures.isolated(name=name, revision=revision):
                opened = ring.open(sealed, associated_data.feed_resource(name))
                change = _read(opened)
            yield StoredItem(name, revision, change)
        if len(rows) < _LOADED:
            return
        last = rows[-1].name


def _read(opened: bytes) -> feed_service_pb2.FeedChange:
    change = feed_service_pb2.FeedChange.FromString(opened)
    if change.WhichOneof("change") is None:
        raise ValueError("the resource was stored by another version")
    return change


async def store_changes(
    db: AsyncConnection,
    changes: Sequence[feed_service_pb2.FeedChange],
    ring: KeyRing,
    endpoint_of: EndpointOf,
    *,
    unusable: Collection[str] = (),
    of_snapshot: bool = False,
) -> None:
    """
    Store changes of the feed, and record the backlog updates that follow from them.

    *endpoint_of* gives the endpoint of a URL, empty for one that cannot be used. Subscriptions
    that are *unusable* are held. Changes *of_snapshot* may be older than what is stored: they
    may be of another history.
    """
    await lock_changes(db)
    newest = {change_name(change): change for change in changes}
    await _replace(db, newest, ring)
    await _hold_or_return(db, newest, unusable)
    overridden = await _end_overrides(db, newest, of_snapshot=of_snapshot)
    updates = [
        backlog_decisions.hold(name, newest[name].revision)
        if name in unusable
        else backlog_decisions.decide(
            name, newest[name], endpoint_of, overridden=name in overridden
        )
        for name in await backlog_updates.affected(db, list(newest))
    ]
    await backlog_updates.record(db, updates, any_revision=of_snapshot)


async def _hold_or_return(
    db: AsyncConnection,
    newest: Mapping[str, feed_service_pb2.FeedChange],
    unusable: Collection[str],
) -> None:
    deleted = {name for name, it in newest.items() if it.WhichOneof("change") == "deleted_name"}
    returned = newest.keys() - deleted - set(unusable)
    subscriptions = {name for name in returned if names.is_subscription(name)}
    await held.delete(db, deleted | (returned - subscriptions))
    await held.end(db, {name: newest[name].revision for name in subscriptions})
    await held.record_unusable(db, {name: newest[name].revision for name in unusable})


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


async def lock_changes(db: AsyncConnection) -> None:
    """
    Wait until no other process stores changes: all of them get the same ones at once.
    """
    if db.dialect.name == "postgresql":
        await db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


async def _end_overrides(
    db: AsyncConnection,
    newest: Mapping[str, feed_service_pb2.FeedChange],
    *,
    of_snapshot: bool,
) -> set[str]:
    """
    Lift the overrides of which a newer revision has come, or in a snapshot another one; return
    the names that are left.
    """
    overridden = await overrides.overrides(db)
    ended = {
        name
        for name in overridden.keys() & newest.keys()
        if newest[name].revision > overridden[name]
        or (of_snapshot and newest[name].revision != overridden[name])
    }
    for name in ended:
        await overrides.lift(db, *names.split(name))
    return overridden.keys() - ended


async def store_position(db: AsyncConnection, position: Position) -> None:
    """
    Store how far the feed was applied.
    """
    await db.execute(sa.delete(feed_state))
    row = {
        "feed_state_id": 1,
        "revision": position.revision,
        "digest": position.digest,
        "apply_time": database_now(),
    }
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


async def end_snapshot(db: AsyncConnection, absence: Absence) -> None:
    """
    Hold and drop what a snapshot does not name.

    To be called in the transaction that has stored the last changes of the snapshot.
    """
    await _delete(db, list(absence.dropped))
    await held.delete(db, absence.dropped)
    await held.record(db, absence.held, HeldReason.MISSING)
    await hold_backlogs(db, absence.subscriptions)


async def hold_unusable(db: AsyncConnection, revisions: Mapping[str, int]) -> None:
    """
    Hold stored subscriptions that cannot be used.
    """
    await lock_changes(db)
    await held.record_unusable(db, revisions)
    await hold_backlogs(db, list(revisions))


async def hold_backlogs(db: AsyncConnection, subscriptions: Sequence[str]) -> None:
    """
    Suspend what waits for subscriptions that are held now.
    """
    revisions = await _revisions(db, await backlog_updates.affected(db, subscriptions))
    updates = [backlog_decisions.hold(name, revision) for name, revision in revisions.items()]
    await backlog_updates.record(db, updates, any_revision=True)


async def end_holds(db: AsyncConnection, ended: Sequence[str]) -> None:
    """
    Delete resources that were missing for too long, and cancel what waits for them.
    """
    await lock_changes(db)
    revisions = await _revisions(db, await backlog_updates.affected(db, ended))
    await _delete(db, ended)
    await held.delete(db, ended)
    updates = [backlog_decisions.end_hold(name, revision) for name, revision in revisions.items()]
    await backlog_updates.record(db, updates, any_revision=True)


async def _revisions(db: AsyncConnection, wanted: Sequence[str]) -> dict[str, int]:
    """
    Return the stored revisions of resources; 0 for one that is not stored.
    """
    columns, found = feed_resources.c, dict.fromkeys(wanted, 0)
    for start in range(0, len(wanted), _BATCH):
        mine = columns.name.in_(wanted[start : start + _BATCH])
        rows = await db.execute(sa.select(columns.name, columns.revision).where(mine))
        found |= {row.name: row.revision for row in rows}
    return found

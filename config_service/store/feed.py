"""
The feed as the database has it: snapshots, and the changes after a revision.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config_service.rules.errors import RevisionCompacted
from config_service.store import caller_store, owned_resources, settings_store, subscription_store
from config_service.store.owned_resources import CLIENT_CERTIFICATE, CREDENTIAL, Kind
from config_service.store.schema import (
    callers,
    feed_items,
    feed_state,
    owner_settings,
    subscriptions,
)
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.config.v1.feed_service_pb2 import FeedChange

BATCH = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far the feed is, and up to where deletions have been forgotten.
    """

    revision: int
    compacted_revision: int


async def progress(db: AsyncConnection) -> Progress:
    """
    Read how far the feed is.
    """
    row = (await db.execute(sa.select(feed_state))).one()
    return Progress(row.revision, row.compacted_revision)


async def reached(engine: AsyncEngine) -> int:
    """
    Return the revision of the newest change.
    """
    async with reading(engine) as db:
        return (await progress(db)).revision


async def check_resumable(engine: AsyncEngine, after_revision: int) -> None:
    """
    Raise `RevisionCompacted` where changes after a revision cannot be told completely.
    """
    async with reading(engine) as db:
        now = await progress(db)
    if not now.compacted_revision <= after_revision <= now.revision:
        raise RevisionCompacted(after_revision, now.compacted_revision)


async def snapshot(engine: AsyncEngine, ring: KeyRing) -> AsyncIterator[Sequence[FeedChange]]:
    """
    Yield all that exists, in batches.

    What changes meanwhile comes again after the revision that was read before.
    """
    last: str | None = ""
    while last is not None:
        changes, last = await shielded(_page(engine, ring, last))
        if changes:
            yield changes


async def _page(
    engine: AsyncEngine, ring: KeyRing, last: str
) -> tuple[Sequence[FeedChange], str | None]:
    """
    Return what comes after the name *last*, and the last name in it, None at the end.
    """
    query = (
        sa.select(feed_items)
        .where(feed_items.c.name > last, feed_items.c.deleted.is_(False))
        .order_by(feed_items.c.name)
        .limit(BATCH)
    )
    async with reading(engine) as db:
        items = (await db.execute(query)).all()
        changes = await _changes(db, items, ring)
    return changes, items[-1].name if items else None


async def changes_after(
    engine: AsyncEngine, revision: int, ring: KeyRing
) -> tuple[Sequence[FeedChange], int]:
    """
    Return the changes after *revision*, at most one batch, and the revision that they reach.
    """
    query = (
        sa.select(feed_items)
        .where(feed_items.c.revision > revision)
        .order_by(feed_items.c.revision)
        .limit(BATCH)
    )
    async with reading(engine) as db:
        reached = (await progress(db)).revision
        items = (await db.execute(query)).all()
        changes = await _changes(db, items, ring)
    if len(items) == BATCH:
        reached = items[-1].revision
    return changes, max(reached, max((it.revision for it in items), default=0))


async def compact(engine: AsyncEngine, older_than: timedelta) -> int:
    """
    Forget deletions older than a time; return how many. Readers behind them begin anew.
    """
    old = sa.and_(feed_items.c.deleted.is_(True), feed_items.c.change_time < after(-older_than))
    async with writing(engine) as db:
        newest = (
            await db.execute(sa.select(sa.func.max(feed_items.c.revision)).where(old))
        ).scalar()
        if newest is None:
            return 0
        forgotten = await db.execute(sa.delete(feed_items).where(old))
        await db.execute(sa.update(feed_state).values(compacted_revision=newest))
        return forgotten.rowcount


async def _changes(db: AsyncConnection, items: Sequence[Any], ring: KeyRing) -> list[FeedChange]:
    """
    Load the resources of *items*, in their order; one that is gone meanwhile is a deletion.
    """
    found: dict[str, FeedChange] = {}
    await _load_subscriptions(db, _names(items, subscription_store.KIND), ring, found)
    await _load_settings(db, _names(items, settings_store.KIND), found)
    await _load_callers(db, _names(items, caller_store.KIND), found)
    for kind in (CREDENTIAL, CLIENT_CERTIFICATE):
        await _load_owned(db, kind, _names(items, kind.name), ring, found)
    changes = []
    for item in items:
        change = found.get(item.name) or FeedChange(deleted_name=item.name)
        change.revision = item.revision
        changes.append(change)
    return changes


def _names(items: Sequence[Any], kind: str) -> list[str]:
    return [item.name for item in items if item.kind == kind and not item.deleted]


async def _load_subscriptions(
    db: AsyncConnection, wanted: Sequence[str], ring: KeyRing, found: dict[str, FeedChange]
) -> None:
    if not wanted:
        return
    keys = [names.split(name) for name in wanted]
    mine = in_keys([subscriptions.c.owner, subscriptions.c.subscription_id], keys)
    live = subscriptions.c.delete_time.is_(None)
    rows = (await db.execute(sa.select(subscriptions).where(mine, live))).all()
    for message in await subscription_store.messages(db, rows, ring):
        found[message.name] = FeedChange(subscription=message)


async def _load_owned(
    db: AsyncConnection,
    kind: Kind,
    wanted: Sequence[str],
    ring: KeyRing,
    found: dict[str, FeedChange],
) -> None:
    if not wanted:
        return
    keys = [names.split(name) for name in wanted]
    mine = in_keys([kind.table.c.owner, kind.id_column], keys)
    for row in await db.execute(sa.select(kind.table).where(mine)):
        message = owned_resources.message_of(kind, row, ring)
        found[message.name] = FeedChange(**{kind.name: message})


async def _load_callers(
    db: AsyncConnection, wanted: Sequence[str], found: dict[str, FeedChange]
) -> None:
    if not wanted:
        return
    ids = [names.parse("caller", name).id for name in wanted]
    for row in await db.execute(sa.select(callers).where(callers.c.caller_id.in_(ids))):
        found[names.caller(row.caller_id)] = FeedChange(caller=caller_store.feed_caller(row))


async def _load_settings(
    db: AsyncConnection, wanted: Sequence[str], found: dict[str, FeedChange]
) -> None:
    if not wanted:
        return
    owners = [names.owner_of(name) for name in wanted]
    query = sa.select(owner_settings).where(owner_settings.c.owner.in_(owners))
    for row in await db.execute(query):
        message = settings_store.message_of(row)
        found[message.name] = FeedChange(account_settings=message)

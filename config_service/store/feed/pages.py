"""
The feed: snapshots of all resources, and the changes after a revision.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config_service.rules.errors import HistoryDiffers, RevisionCompacted
from config_service.store import (
    caller_store,
    owned_resources,
    settings_store,
    subscription_store,
)
from config_service.store.feed.history import Position, digest_at
from config_service.store.owned_resources import (
    CLIENT_CERTIFICATE,
    CREDENTIAL,
    SIGNING_KEY,
    ResourceKind,
    ResourceT,
)
from config_service.store.rows import (
    FEED_ITEMS,
    FEED_STATE,
    SETTINGS,
    SUBSCRIPTIONS,
    FeedItemRow,
    FeedStateRow,
)
from config_service.store.schema import (
    feed_items,
    feed_state,
    owner_settings,
    subscriptions,
)
from config_service.store.signing import keys as signing_keys
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedChange

BATCH = 500

NOWHERE = Position(0, b"")
"""
The position of a reader that has nothing, and of a snapshot before its end.
"""


async def state(db: AsyncConnection) -> FeedStateRow:
    """
    Return the state of the feed. Raises `LookupError` where the migration left none.
    """
    row = await FEED_STATE.first(db, FEED_STATE.select())
    if row is None:
        raise LookupError("the table feed_state has no row")
    return row


async def beat(engine: AsyncEngine) -> None:
    """
    Write the counter of revisions as it is, which shows that changes can be written.
    """
    async with writing(engine) as db:
        await db.execute(sa.update(feed_state).values(revision=feed_state.c.revision))


@dataclass(frozen=True, slots=True)
class FeedPage:
    """
    A batch of changes, the position that they reach, and the time of the database.
    """

    changes: Sequence[FeedChange]
    position: Position
    time: datetime


async def position(engine: AsyncEngine) -> Position:
    """
    Return how far the feed is.
    """
    async with reading(engine) as db:
        revision = (await state(db)).revision
        return Position(revision, await _digest(db, revision))


async def check_resumable(engine: AsyncEngine, after: Position) -> None:
    """
    Raise `HistoryDiffers` where a position is not of the history of this database, and
    `RevisionCompacted` where deletions since then, or its digest, have been forgotten.
    """
    async with reading(engine) as db:
        now = await state(db)
        await _check_history(db, after, now)
    if after.revision < now.compacted_revision:
        raise RevisionCompacted(after.revision, now.compacted_revision)


async def _check_history(db: AsyncConnection, after: Position, now: FeedStateRow) -> None:
    if after.revision > now.revision:
        raise HistoryDiffers(after.revision)
    digest = await _digest(db, after.revision)
    if not digest:
        raise RevisionCompacted(after.revision, now.compacted_revision)
    if digest != after.digest:
        raise HistoryDiffers(after.revision)


async def _digest(db: AsyncConnection, revision: int) -> bytes:
    """
    Return the digest of a revision, empty where it is no longer kept.
    """
    return (await db.execute(sa.select(digest_at(revision)))).scalar() or b""


async def snapshot(
    engine: AsyncEngine, ring: KeyRing, reached: Position
) -> AsyncIterator[FeedPage]:
    """
    Yield all resources and all deletions that are remembered, in batches; the last page has
    the position *reached*, which was read before the first.

    A resource that changes meanwhile comes again after that position.
    """
    last: str | None = ""
    while last is not None:
        page, last = await shielded(_page(engine, ring, last, reached))
        yield page


async def _page(
    engine: AsyncEngine, ring: KeyRing, last: str, reached: Position
) -> tuple[FeedPage, str | None]:
    """
    Return a batch of resources after the name *last*, and the last name in it, None at the end.
    """
    query = (
        FEED_ITEMS.select().where(feed_items.c.name > last).order_by(feed_items.c.name).limit(BATCH)
    )
    async with reading(engine) as db:
        items = await FEED_ITEMS.all(db, query)
        changes = await _changes(db, items, ring)
        now = (await state(db)).now
    at_end = len(items) < BATCH
    page = FeedPage(changes, reached if at_end else NOWHERE, now)
    return page, None if at_end else items[-1].name


async def changes_after(engine: AsyncEngine, after: Position, ring: KeyRing) -> FeedPage:
    """
    Return at most one batch of changes after a position. Raises `HistoryDiffers` if the
    database is no longer the one in which that position was read.
    """
    query = (
        FEED_ITEMS.select()
        .where(feed_items.c.revision > after.revision)
        .order_by(feed_items.c.revision)
        .limit(BATCH)
    )
    async with reading(engine) as db:
        now = await state(db)
        await _check_history(db, after, now)
        items = await FEED_ITEMS.all(db, query)
        changes = await _changes(db, items, ring)
        reached = max(now.revision, max((item.revision for item in items), default=0))
        if len(items) == BATCH:
            reached = items[-1].revision
        digest = after.digest if reached == after.revision else await _digest(db, reached)
    return FeedPage(changes, Position(reached, digest), now.now)


async def compact(engine: AsyncEngine, older_than: timedelta) -> int:
    """
    Forget deletions that are older than a time; return how many.

    A reader that has not seen them must begin with a new snapshot.
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


async def _changes(
    db: AsyncConnection, items: Sequence[FeedItemRow], ring: KeyRing
) -> list[FeedChange]:
    """
    Load the resources of *items*, in their order. A resource that is gone becomes a deletion.
    """
    found: dict[str, FeedChange] = {}
    await _load_subscriptions(db, _names(items, subscription_store.KIND), ring, found)
    await _load_settings(db, _names(items, settings_store.KIND), found)
    await _load_callers(db, _names(items, caller_store.KIND), found)
    await _load_owned(db, CREDENTIAL, _names(items, CREDENTIAL.name), ring, found)
    await _load_owned(db, CLIENT_CERTIFICATE, _names(items, CLIENT_CERTIFICATE.name), ring, found)
    await _load_signing_keys(db, _names(items, SIGNING_KEY.name), ring, found)
    changes = []
    for item in items:
        change = found.get(item.name) or FeedChange(deleted_name=item.name)
        change.revision = item.revision
        changes.append(change)
    return changes


def _names(items: Sequence[FeedItemRow], kind: str) -> list[str]:
    return [item.name for item in items if item.kind == kind and not item.deleted]


async def _load_subscriptions(
    db: AsyncConnection, wanted: Sequence[str], ring: KeyRing, found: dict[str, FeedChange]
) -> None:
    if not wanted:
        return
    keys = [names.split(name) for name in wanted]
    mine = in_keys([subscriptions.c.owner, subscriptions.c.subscription_id], keys)
    live = subscriptions.c.delete_time.is_(None)
    rows = await SUBSCRIPTIONS.all(db, SUBSCRIPTIONS.select().where(mine, live))
    messages = await subscription_store.feed_subscriptions(db, rows, ring)
    for row, message in zip(rows, messages, strict=True):
        found[message.subscription.name] = change = FeedChange(subscription=message)
        if row.matches_since is not None:
            change.matches_since.FromDatetime(row.matches_since)


async def _load_owned(
    db: AsyncConnection,
    kind: ResourceKind[ResourceT],
    wanted: Sequence[str],
    ring: KeyRing,
    found: dict[str, FeedChange],
) -> None:
    if not wanted:
        return
    keys = [names.split(name) for name in wanted]
    mine = in_keys([kind.table.c.owner, kind.id_column], keys)
    rows = kind.rows
    for row in await rows.all(db, rows.select().where(mine)):
        message = owned_resources.message_of(kind, row, ring)
        found[message.name] = change = FeedChange()
        getattr(change, kind.name).CopyFrom(message)


async def _load_signing_keys(
    db: AsyncConnection, wanted: Sequence[str], ring: KeyRing, found: dict[str, FeedChange]
) -> None:
    for message in await signing_keys.feed_signing_keys(db, wanted, ring):
        found[message.signing_key.name] = FeedChange(signing_key=message)


async def _load_callers(
    db: AsyncConnection, wanted: Sequence[str], found: dict[str, FeedChange]
) -> None:
    if not wanted:
        return
    ids = [names.parse("caller", name).id for name in wanted]
    for message in await caller_store.feed_callers(db, ids):
        found[message.caller.name] = FeedChange(caller=message)


async def _load_settings(
    db: AsyncConnection, wanted: Sequence[str], found: dict[str, FeedChange]
) -> None:
    if not wanted:
        return
    owners = [names.owner_of(name) for name in wanted]
    query = SETTINGS.select().where(owner_settings.c.owner.in_(owners))
    for row in await SETTINGS.all(db, query):
        message = settings_store.message_of(row)
        found[message.name] = FeedChange(owner_settings=message)

"""
What each change of the configuration does besides its own rows: a revision, an item of the
feed, a remembered request id.

Revisions are in the order of commits, because the row of their counter is locked until the
commit; numbers of a database sequence are not.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from google.protobuf.message import Message

from config_service.store.feed import history
from config_service.store.schema import feed_items, feed_state, request_ids
from service_runtime.database.engine import writing
from service_runtime.database.instants import database_now
from service_runtime.rpc.request_ids import RequestIdReused

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


_turns: WeakKeyDictionary[AsyncEngine, asyncio.Lock] = WeakKeyDictionary()


async def next_revision(db: AsyncConnection) -> int:
    """
    Return the next revision. Its counter stays locked until the transaction ends.
    """
    raised = (
        sa.update(feed_state)
        .values(revision=feed_state.c.revision + 1)
        .returning(feed_state.c.revision)
    )
    return int((await db.execute(raised)).scalar_one())


async def _alone(db: AsyncConnection) -> None:
    """
    Wait for the other changes of the configuration and keep new ones waiting until the
    transaction ends, so that what it reads from now on is what it changes.
    """
    await db.execute(sa.select(feed_state.c.revision).with_for_update())


@asynccontextmanager
async def changing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """
    Open a transaction that changes the configuration, alone: what it reads is what it changes.
    """
    # One change of a process waits in the database; the others wait here, where they hold no
    # connection and no timeout of the database counts against them.
    turn = _turns.setdefault(engine, asyncio.Lock())
    async with turn, writing(engine) as db:
        await _alone(db)
        yield db


async def count_of(db: AsyncConnection, table: sa.Table, owner: str) -> int:
    """
    Count the rows of an owner that are not deleted.
    """
    query = sa.select(sa.func.count()).select_from(table).where(table.c.owner == owner)
    if "delete_time" in table.c:
        query = query.where(table.c.delete_time.is_(None))
    return (await db.execute(query)).scalar_one()


async def feed_change(
    db: AsyncConnection, name: str, kind: str, revision: int, *, deleted: bool = False
) -> None:
    """
    Record a change for the feed, and in its history.
    """
    row = {"kind": kind, "revision": revision, "deleted": deleted, "change_time": database_now()}
    updated = await db.execute(sa.update(feed_items).where(feed_items.c.name == name).values(row))
    if updated.rowcount == 0:
        await db.execute(sa.insert(feed_items).values(name=name, **row))
    await history.extend(db, revision, name)


async def remembered(
    db: AsyncConnection, parent: str, request_id: str, method: str, request: Message
) -> str | None:
    """
    Return the resource that an earlier call with this request id created, or None.

    Raises `RequestIdReused` where the earlier request was another one.
    """
    if not request_id:
        return None
    query = sa.select(request_ids).where(
        request_ids.c.parent == parent, request_ids.c.request_id == request_id
    )
    row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    if (row.method, row.request_sha256) != (method, _hash(request)):
        raise RequestIdReused(method)
    return str(row.resource)


async def remember(
    db: AsyncConnection,
    parent: str,
    request_id: str,
    method: str,
    request: Message,
    resource: str,
) -> None:
    """
    Remember the resource that a call with a request id created.
    """
    if not request_id:
        return
    row = {
        "parent": parent,
        "request_id": request_id,
        "method": method,
        "request_sha256": _hash(request),
        "resource": resource,
        "create_time": database_now(),
    }
    await db.execute(sa.insert(request_ids).values(row))


def _hash(request: Message) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()

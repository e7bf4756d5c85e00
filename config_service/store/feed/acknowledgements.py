"""
The readers of the feed, and the revision that each has applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from config_service.store.schema import feed_items, feed_readers
from service_runtime.database.engine import reading, writing
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

FORGET_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """
    The *newest* revision with a change, and the revisions that readers have acknowledged.
    """

    newest: int
    readers: Mapping[str, int]


async def read(engine: AsyncEngine, seen_within: timedelta) -> FeedProgress:
    """
    Return the progress of the readers that acknowledged something within a time.
    """
    newest = sa.select(sa.func.coalesce(sa.func.max(feed_items.c.revision), 0))
    state = newest.subquery("state")
    columns = feed_readers.c
    seen = columns.seen_time > after(-seen_within)
    query = sa.select(*state.c, columns.reader, columns.revision).select_from(
        state.outerjoin(feed_readers, seen)
    )
    async with reading(engine) as db:
        rows = (await db.execute(query)).all()
    return FeedProgress(rows[0][0], {row[1]: row[2] for row in rows if row[1] is not None})


async def write(engine: AsyncEngine, acknowledged: Mapping[str, int | None]) -> None:
    """
    Store that readers have applied revisions, as seen now, or with None that they have left.
    """
    async with writing(engine) as db:
        # In the order of names, so that two replicas do not wait for each other.
        for reader, revision in sorted(acknowledged.items()):
            await _write(db, reader, revision)


async def _write(db: AsyncConnection, reader: str, revision: int | None) -> None:
    if revision is None:
        await db.execute(sa.delete(feed_readers).where(feed_readers.c.reader == reader))
        return
    seen = {"revision": revision, "seen_time": database_now()}
    row = insert(db.dialect.name, feed_readers).values(reader=reader, **seen)
    await db.execute(row.on_conflict_do_update(index_elements=["reader"], set_=seen))


async def forget(engine: AsyncEngine) -> None:
    """
    Delete readers that were not seen for a day.
    """
    old = feed_readers.c.seen_time < after(-FORGET_AFTER)
    async with writing(engine) as db:
        await db.execute(sa.delete(feed_readers).where(old))

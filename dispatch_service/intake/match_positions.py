"""
How far the events of each process have been matched with the changes of the feed.

What a process took before it knew a change is matched late by itself. If it dies before that,
another process finds its position, and matches late whatever changed after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.feed.applier import FeedApplier
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import feed_positions
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

LONGEST_CHANGE = timedelta(minutes=1)
"""
The longest time between the instant that a change bears and its commit.
"""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """
    All changes up to *revision* are applied, and all that bear an instant well before
    *config_time*; None: that is not known. *offset* is that of `ConfigClock`.
    """

    revision: int
    config_time: datetime | None = None
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class LeftPosition:
    """
    The position of a process that has ended, and when that was written.
    """

    name: str
    position: FeedPosition
    update_time: datetime


def changed_after(
    position: FeedPosition, subscriptions: Iterable[Subscription]
) -> list[Subscription]:
    """
    Return the Active subscriptions with which events may not have been matched by a process
    that got no further than *position*.
    """
    known = None if position.config_time is None else position.config_time - LONGEST_CHANGE
    return [
        it
        for it in subscriptions
        if it.matches_since is not None
        and it.active
        and not it.deleted
        and it.revision > position.revision
        and (known is None or it.matches_since > known)
    ]


def position_of(applier: FeedApplier) -> FeedPosition:
    """
    Return how far the feed is applied in this process.
    """
    return FeedPosition(applier.position.revision, applier.known_until, applier.clock.offset)


async def begin(db: AsyncConnection, name: str, position: FeedPosition) -> FeedPosition:
    """
    Store the position of a process that begins to match, and return it.

    It has seen nothing of the feed yet, but knows at least what another knew with its revision.
    """
    columns = feed_positions.c
    newest = sa.select(columns.config_time, columns.clock_offset_us)
    query = newest.where(columns.revision <= position.revision, columns.config_time.is_not(None))
    row = (await db.execute(query.order_by(columns.config_time.desc()).limit(1))).one_or_none()
    if row is not None and position.config_time is None:
        position = replace(position, config_time=row[0], offset=position.offset or _span(row[1]))
    await store(db, name, position)
    return position


async def store(db: AsyncConnection, name: str, position: FeedPosition) -> None:
    """
    Store the position of a process, as of now.
    """
    offset = None if position.offset is None else position.offset // _MICROSECOND
    row = {
        "revision": position.revision,
        "config_time": position.config_time,
        "clock_offset_us": offset,
        "update_time": database_now(),
    }
    stored = insert(db.dialect.name, feed_positions).values(name=name, **row)
    await db.execute(stored.on_conflict_do_update(index_elements=["name"], set_=row))


async def lowest(db: AsyncConnection) -> int:
    """
    Return the revision up to which all processes have matched.
    """
    query = sa.select(sa.func.coalesce(sa.func.min(feed_positions.c.revision), 0))
    return int((await db.execute(query)).scalar_one())


async def left(db: AsyncConnection, name: str, alive_for: timedelta) -> list[LeftPosition]:
    """
    Return the positions of processes that have not written theirs for a time, the one of *name*
    not among them.
    """
    columns = feed_positions.c
    silent = sa.and_(columns.name != name, columns.update_time <= after(-alive_for))
    rows = (await db.execute(sa.select(feed_positions).where(silent))).all()
    return [
        LeftPosition(
            row.name,
            FeedPosition(row.revision, row.config_time, _span(row.clock_offset_us)),
            row.update_time,
        )
        for row in rows
    ]


async def drop(db: AsyncConnection, positions: Sequence[LeftPosition]) -> None:
    """
    Delete positions, except those that were written again meanwhile.
    """
    columns = feed_positions.c
    for it in sorted(positions, key=lambda it: it.name):
        same = sa.and_(columns.name == it.name, columns.update_time == it.update_time)
        await db.execute(sa.delete(feed_positions).where(same))


def _span(microseconds: int | None) -> timedelta | None:
    return None if microseconds is None else timedelta(microseconds=microseconds)

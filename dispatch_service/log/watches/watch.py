"""
The attempts of an owner as they end, in the order in which their results were written.

A row's `settle_time` is the time at which its transaction began, so a row may appear after
later ones. Rows are shown only up to the instant before which every transaction has ended:
then the order is final, and a cursor is a position in it. On SQLite any instant without a
writer will do; PostgreSQL shows its transactions in `pg_stat_activity`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.log.filters import of_parent, unbounded
from dispatch_service.log.url_filters import Hash
from dispatch_service.storage.rows import SETTLED_ATTEMPTS, SettledAttemptRow
from dispatch_service.storage.schema import attempts
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import (
    after,
    database_now,
    from_microseconds,
    to_microseconds,
)
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import PageKey

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 500

# On a busy machine a session shows its transaction a little later than it began.
_MOMENT = timedelta(milliseconds=100)

_FIRST_ID = "0" * 32

# A process has several pools, "dispatch_service" and "dispatch_service bulk": any may settle.
_OLDEST_TRANSACTION = sa.text("""
    SELECT least(min(xact_start), now()) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND split_part(application_name, ' ', 1)
        = split_part(current_setting('application_name'), ' ', 1)
""").columns(oldest=sa.DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Mark:
    """
    A position in the order of settled attempts; the watch goes on after it.
    """

    settle_time: datetime
    delivery_id: str = _FIRST_ID
    number: int = 0

    def key(self) -> PageKey:
        """
        Return the position as the content of a cursor.
        """
        return [to_microseconds(self.settle_time), self.delivery_id, self.number]


def mark_of(key: PageKey) -> Mark:
    """
    Return the position in a cursor that `Mark.key` made.
    """
    at, delivery_id, number = key
    return Mark(from_microseconds(int(at)), str(delivery_id), int(number))


def mark_at(row: SettledAttemptRow) -> Mark:
    """
    Return the position of an attempt.
    """
    return Mark(row.settle_time, row.delivery_id, row.number)


async def horizon(engine: AsyncEngine) -> datetime:
    """
    Return an instant before which no attempt will settle any more.

    A transaction that begins afterwards reads everything that settled before the instant.
    """
    if engine.dialect.name == "sqlite":
        # With the lock of writers, no other transaction that writes is open.
        async with writing(engine) as db:
            return (await db.execute(sa.select(database_now()))).scalar_one()
    async with reading(engine) as db:
        settled = (await db.execute(sa.select(after(-_MOMENT)))).scalar_one()
        oldest: datetime | None = (await db.execute(_OLDEST_TRANSACTION)).scalar_one()
    return settled if oldest is None else min(settled, oldest)


async def read(
    engine: AsyncEngine,
    owner: str,
    comparisons: Sequence[Comparison],
    hashed: Hash,
    mark: Mark,
    before: datetime | None = None,
) -> tuple[Sequence[SettledAttemptRow], Mark]:
    """
    Return at most a batch of attempts of *owner* after *mark*, and the mark to go on from. The
    owner may be `accounts/-` or `warehouses/-`.

    They settled before *before*, an instant that `horizon` returned; by default it is asked.
    """
    if before is None:
        before = await horizon(engine)
    keys = (attempts.c.settle_time, attempts.c.delivery_id, attempts.c.number)
    query = (
        SETTLED_ATTEMPTS.select()
        .where(of_parent(attempts.c.owner, owner), attempts.c.settle_time < before)
        .where(attempts.c.settle_time >= mark.settle_time, sa.tuple_(*keys) > _bound(mark))
        .where(*unbounded(attempts, comparisons, hashed))
        .order_by(*keys)
        .limit(BATCH)
    )
    async with reading(engine) as db:
        rows = await SETTLED_ATTEMPTS.all(db, query)
    if len(rows) == BATCH:
        return rows, mark_at(rows[-1])
    return rows, passed(mark, before)


def passed(mark: Mark, before: datetime) -> Mark:
    """
    Return the mark of a watch that has seen all attempts that settled before *before*.
    """
    return Mark(before) if before > mark.settle_time else mark


def _bound(mark: Mark) -> sa.Tuple:
    return sa.tuple_(
        sa.literal(mark.settle_time, attempts.c.settle_time.type),
        sa.literal(mark.delivery_id, attempts.c.delivery_id.type),
        sa.literal(mark.number),
    )

"""
The attempts of an owner as they end, in the order of their settling.

A row's `settle_time` is when its transaction began, so rows may appear behind
later ones. Nothing is shown before every transaction that began earlier has
ended; then the order is final and a cursor needs to be no more than a place in it.
On SQLite that is whenever nobody writes; PostgreSQL tells of its transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.log.filters import Hash, unbounded
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

# On a busy machine a session shows its transaction some time after the instant of its beginning.
_MOMENT = timedelta(milliseconds=100)

_FIRST_ID = "0" * 32

_OLDEST_TRANSACTION = sa.text("""
    SELECT least(min(xact_start), now()) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name = current_setting('application_name')
""").columns(oldest=sa.DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Mark:
    """
    A place in the order of settled attempts: what comes after it has not been seen.
    """

    settle_time: datetime
    delivery_id: str = _FIRST_ID
    number: int = 0

    def key(self) -> PageKey:
        """
        Write it down for a cursor.
        """
        return [to_microseconds(self.settle_time), self.delivery_id, self.number]


def mark_of(key: PageKey) -> Mark:
    """
    Read what `Mark.key` wrote.
    """
    at, delivery_id, number = key
    return Mark(from_microseconds(int(at)), str(delivery_id), int(number))


async def horizon(engine: AsyncEngine) -> datetime:
    """
    Return an instant before which no attempt will settle any more. What is read in a
    transaction that begins afterwards holds all that settled before it.
    """
    if engine.dialect.name == "sqlite":
        # Who has the lock of writers knows that no transaction is open.
        async with writing(engine) as db:
            return (await db.execute(sa.select(database_now()))).scalar_one()
    async with reading(engine) as db:
        settled = (await db.execute(sa.select(after(-_MOMENT)))).scalar_one()
        oldest: datetime | None = (await db.execute(_OLDEST_TRANSACTION)).scalar_one()
    return settled if oldest is None else min(settled, oldest)


async def read(
    engine: AsyncEngine, owner: str, comparisons: Sequence[Comparison], hashed: Hash, mark: Mark
) -> tuple[Sequence[Any], Mark]:
    """
    Return the attempts of *owner* after *mark*, at most a batch, and where to go on.
    """
    before = await horizon(engine)
    columns = [column for column in attempts.c if column.name != "sealed_exchange"]
    keys = (attempts.c.settle_time, attempts.c.delivery_id, attempts.c.number)
    query = (
        sa.select(*columns)
        .where(attempts.c.owner == owner, attempts.c.settle_time < before)
        .where(attempts.c.settle_time >= mark.settle_time, sa.tuple_(*keys) > _bound(mark))
        .where(*unbounded(attempts, comparisons, hashed))
        .order_by(*keys)
        .limit(BATCH)
    )
    async with reading(engine) as db:
        rows = (await db.execute(query)).all()
    if len(rows) == BATCH:
        last = rows[-1]
        return rows, Mark(last.settle_time, last.delivery_id, last.number)
    return rows, Mark(max(before, mark.settle_time))


def _bound(mark: Mark) -> sa.Tuple:
    return sa.tuple_(
        sa.literal(mark.settle_time, attempts.c.settle_time.type),
        sa.literal(mark.delivery_id, attempts.c.delivery_id.type),
        sa.literal(mark.number),
    )

"""
Running the statements of the queue on SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.work import Lease
from dispatch_service.queue.layouts import Columns
from dispatch_service.queue.sqlite import statements as sql
from service_runtime.database.instants import micros, to_microseconds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


def row_reader(columns: Columns) -> Callable[[Any], dict[str, Any]]:
    """
    Make a function that reads the values of *columns* by name, with instants in microseconds.
    """
    reads = [(name, it.read, it.kind == "timestamptz") for name, it in columns.items()]
    return lambda thing: {
        name: to_microseconds(read(thing)) if is_instant else read(thing)
        for name, read, is_instant in reads
    }


async def database_time(db: AsyncConnection) -> int:
    """
    Return the time of the database in microseconds.
    """
    return int((await db.execute(sql.NOW)).scalar_one())


async def lease_now(db: AsyncConnection, lease: Lease) -> dict[str, Any]:
    """
    Return what statements are given of a lease that begins at the time of the database, *now*.
    """
    now = await database_time(db)
    trusted = now if lease.trusted_until is None else to_microseconds(lease.trusted_until)
    return {
        "now": now,
        "lease_owner": lease.owner,
        "lease_us": micros(lease.duration),
        "trusted_until": trusted,
    }


async def execute_many(
    db: AsyncConnection, statement: sa.TextClause, rows: Sequence[Mapping[str, Any]]
) -> None:
    """
    Run a statement for each row; without rows do nothing.
    """
    if rows:
        # The driver reads `:name` itself: going by it spares laying out each row anew.
        await db.exec_driver_sql(statement.text, list(rows))

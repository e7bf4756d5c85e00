"""
The repair of sequences whose first delivery is blocked by nothing, because the sequence is
gone or its head has ended. No transaction leaves that behind, so a repair is logged as a
warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.transitions import State
from dispatch_service.queue import sequences
from dispatch_service.queue.sequences import SequenceKey
from dispatch_service.storage.schema import deliveries
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 1000
"""
How many rows of the index are read at a time; the rest of a deep sequence is skipped.
"""


async def repair_batch(
    engine: AsyncEngine, last: SequenceKey | None, failures: FailureLog
) -> tuple[SequenceKey | None, int]:
    """
    Repair a batch of sequences after *last*; return the last key read, None at the end, and
    how many deliveries became due. A sequence that fails is logged in *failures* and passed over.
    """
    async with reading(engine) as db:
        rows = await _read(db, last)
    firsts: dict[SequenceKey, bool] = {}
    for owner, subscription, resource, waits in rows:
        firsts.setdefault((owner, subscription, resource), bool(waits))
    due = 0
    for key in [key for key, waits in firsts.items() if waits]:
        with failures.isolated(kind="sequence", owner=key[0], subscription=key[1]):
            due += await _repair(engine, key)
    return (list(firsts)[-1] if len(rows) == BATCH else None), due


@retry_on_conflict
async def _repair(engine: AsyncEngine, key: SequenceKey) -> int:
    async with writing(engine) as db:
        return await sequences.repair(db, key)


async def _read(db: AsyncConnection, last: SequenceKey | None) -> list[tuple[str, str, str, bool]]:
    columns = deliveries.c
    key = (columns.owner, columns.subscription, columns.resource)
    waits = sa.and_(columns.state == State.PENDING, columns.due_time.is_(None))
    query = sa.select(*key, waits).where(sequences.in_sequence())
    if last is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, last)))
    rows = await db.execute(query.order_by(*key, columns.sequence_position).limit(BATCH))
    return [(row[0], row[1], row[2], row[3]) for row in rows]

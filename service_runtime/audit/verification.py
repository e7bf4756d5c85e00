"""
The verification of the chain as it is stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service_runtime.audit.chain import (
    NOTHING,
    ChainedRow,
    Checked,
    Fault,
    FaultKind,
    Head,
    Link,
    check_end,
    check_entries,
)
from service_runtime.audit.chain_rows import ChainRows
from service_runtime.database.engine import reading

BATCH = 500
"""
How many entries are checked before other work of the process gets its turn.
"""


class Verification(NamedTuple):
    """
    What was found: *verified* entries fit, up to *through*; behind it there is more, if this is
    not *complete*.
    """

    verified: int
    through: Link
    fault: Fault | None
    complete: bool
    head: Head


async def verify(
    engine: AsyncEngine, chain: ChainRows, begin_after: Link | None, limit: int
) -> Verification:
    """
    Check up to *limit* entries behind *begin_after*, and at their end the head.

    The entry at *begin_after* must have its chain code, unless that is empty. None begins with
    the first entry that is there.
    """
    async with reading(_snapshots(engine)) as db:
        head = await chain.head.read(db)
        begin = await _begin(db, chain, head, begin_after)
        if begin.fault is not None:
            return Verification(0, begin.through, begin.fault, complete=True, head=head)
        keys = await chain.keys.all(db)
        count, through = 0, begin.through
        async for rows in _batches(db, chain, through, limit):
            checked = check_entries(through, rows, keys)
            count, through = count + checked.through.position - through.position, checked.through
            if checked.fault is not None:
                return Verification(count, through, checked.fault, complete=True, head=head)
        if count == limit:
            return Verification(count, through, None, complete=False, head=head)
        fault = check_end(through, head, keys) or await _outside(db, chain, head)
        return Verification(count, through, fault, complete=True, head=head)


def _snapshots(engine: AsyncEngine) -> AsyncEngine:
    """
    Return an engine whose transactions see one state, while entries are written and deleted.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


async def _begin(db: AsyncConnection, chain: ChainRows, head: Head, wanted: Link | None) -> Checked:
    """
    Return the place to begin after, and what is wrong with it.
    """
    if wanted is None or wanted.position < head.pruned_position:
        return Checked(head.pruned, None)
    if wanted.position == head.pruned_position:
        return Checked(head.pruned, _compare(wanted, head.pruned, ""))
    row = await chain.first(db, chain.entries.c.position == wanted.position)
    if row is None:
        return Checked(wanted, Fault(wanted.position, FaultKind.MISSING))
    stored = Link(wanted.position, row.chain_mac or NOTHING)
    return Checked(stored, _compare(wanted, stored, row.audit_entry_id))


def _compare(wanted: Link, stored: Link, entry_id: str) -> Fault | None:
    if wanted.mac in {NOTHING, stored.mac}:
        return None
    return Fault(wanted.position, FaultKind.CHANGED, entry_id)


async def _batches(
    db: AsyncConnection, chain: ChainRows, begin: Link, limit: int
) -> AsyncIterator[Sequence[ChainedRow]]:
    """
    Yield up to *limit* entries behind *begin*, in batches.
    """
    position, left = begin.position, limit
    while left and (rows := await chain.after(db, position, min(left, BATCH))):
        yield rows
        position, left = rows[-1].position or 0, left - len(rows)


async def _outside(db: AsyncConnection, chain: ChainRows, head: Head) -> Fault | None:
    """
    Find an entry that is not in the chain, or stands before its beginning.
    """
    position = chain.entries.c.position
    outside = sa.or_(position.is_(None), position <= head.pruned_position)
    row = await chain.first(db, outside)
    if row is None:
        return None
    kind = FaultKind.UNCHAINED if row.position is None else FaultKind.OUT_OF_ORDER
    return Fault(row.position or 0, kind, row.audit_entry_id)

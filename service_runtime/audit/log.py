"""
The audit log: which caller changed or read what, written in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service_runtime.audit import upkeep, verification
from service_runtime.audit.chain import Content, Link
from service_runtime.audit.chain_rows import ChainRows
from service_runtime.audit.entries import AuditChange, AuditRow
from service_runtime.audit.keys import ChainKeys
from service_runtime.audit.tables import AuditTables
from service_runtime.database.engine import writing
from service_runtime.database.typed_rows import RowReader
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import filters, names
from service_runtime.rpc.callers import EVERY_OWNER, current_caller
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey


class AuditLog:
    """
    Writes, reads and verifies the entries in *tables*, under keys that *ring* wraps. Ids of
    *new_id* must grow with time.
    """

    def __init__(self, tables: AuditTables, ring: KeyRing, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._entries = RowReader(AuditRow, tables.entries)
        self._owner = tables.entries.c.owner
        self._id = tables.entries.c.audit_entry_id
        self._columns = tables.entries.c
        self._chain = ChainRows(tables, ChainKeys(tables.keys, ring))

    async def begin(self, engine: AsyncEngine) -> None:
        """
        Make the key for new entries, and begin the chain if there is none, with the entries that
        were written before. A service does so before it takes calls.
        """
        async with writing(engine) as db:
            await self._chain.keys.create(db)
        # A key is used, and kept in memory, only after its commit.
        async with writing(engine) as db:
            await upkeep.begin(db, self._chain)

    async def record(
        self,
        db: AsyncConnection,
        method: str,
        resource: str,
        changes: Iterable[AuditChange] = (),
        *,
        caller: str = "",
    ) -> None:
        """
        Write that *caller*, by default the one of the current call, used *method* on *resource*.

        Call it last in a transaction: others cannot write entries until that ends.
        """
        locked = await self._chain.head.lock(db)
        content = Content(
            self._new_id(),
            names.owner_in(resource),
            locked.now,
            caller or current_caller.get().name,
            method,
            resource,
            msgspec.json.encode(list(changes)).decode(),
        )
        await self._chain.append(db, locked.head, content)

    async def prune(
        self, engine: AsyncEngine, keep: timedelta, batch: int = upkeep.PRUNED_AT_ONCE
    ) -> int:
        """
        Delete the entries that are older than *keep*, a *batch* at a time; return how many. The
        chain then begins after them.
        """
        total, full = 0, True
        while full:
            async with writing(engine) as db:
                count = await upkeep.prune(db, self._chain, keep, batch)
            total, full = total + count, count == batch
        return total

    async def verify(
        self, engine: AsyncEngine, begin_after: Link | None, limit: int
    ) -> verification.Verification:
        """
        Check up to *limit* entries: all, or those behind *begin_after*.
        """
        return await verification.verify(engine, self._chain, begin_after, limit)

    async def list_entries(
        self,
        db: AsyncConnection,
        owners: Collection[str],
        comparisons: Iterable[Comparison],
        *,
        size: int,
        begin_after: PageKey | None,
    ) -> Page[AuditRow]:
        """
        List the entries of *owners*, newest first.

        `accounts/-` and `warehouses/-` stand for all of a kind; both together include the
        entries that have no owner.
        """
        # Ids grow with time; a page is bounded by them, so they alone give the order.
        query = self._entries.select().order_by(self._id.desc()).limit(size + 1)
        if not set(owners) >= EVERY_OWNER:
            query = query.where(_is_of(self._owner, owners))
        if begin_after is not None:
            query = query.where(self._id < str(begin_after[0]))
        for comparison in comparisons:
            compare = filters.COMPARE[comparison.operator]
            query = query.where(compare(self._columns[comparison.field], comparison.value))
        rows = await self._entries.all(db, query)
        return Page(rows, size, lambda row: [row.audit_entry_id.replace("-", "")])


def _is_of(column: sa.ColumnElement[str], owners: Collection[str]) -> sa.ColumnElement[bool]:
    kinds = [owner.removesuffix("-") for owner in owners if owner.endswith("/-")]
    named = [owner for owner in owners if not owner.endswith("/-")]
    return sa.or_(column.in_(named), *(column.startswith(kind, autoescape=True) for kind in kinds))

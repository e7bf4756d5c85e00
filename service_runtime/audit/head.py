"""
The head of the chain: its row is locked by whoever adds an entry, until the end of the
transaction. So there is one chain, whatever the number of processes.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.audit.chain import NOTHING, Head, head_mac
from service_runtime.audit.keys import ChainKey
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.database.typed_rows import RowReader

EMPTY = Head(0, NOTHING, 0, NOTHING, 0, "", NOTHING)
"""
The head before the first start.
"""


class LockedHead(NamedTuple):
    """
    The head, locked, and the time of the database.
    """

    head: Head
    now: datetime


class HeadRow:
    """
    Reads and writes the only row of *table*.
    """

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._rows = RowReader(Head, table)

    async def read(self, db: AsyncConnection) -> Head:
        """
        Return the head. If its row was deleted, it is that of an empty chain.
        """
        return await self._rows.first(db, self._rows.select()) or EMPTY

    async def lock(self, db: AsyncConnection) -> LockedHead:
        """
        Wait for other writers, and return the head; nobody else changes it until the transaction
        ends.
        """
        query = self._rows.select().add_columns(database_now()).with_for_update()
        row = (await db.execute(query)).first()
        while row is None:
            # Somebody has deleted it: the entries say so when they are verified.
            new = {"audit_head_id": 1, **msgspec.structs.asdict(EMPTY)}
            await db.execute(insert(db.dialect.name, self._table).on_conflict_do_nothing(), new)
            row = (await db.execute(query)).first()
        *values, now = row
        return LockedHead(Head(*values), now)

    async def write(self, db: AsyncConnection, head: Head, key: ChainKey) -> None:
        """
        Write the locked head, authenticated with *key*.
        """
        signed = msgspec.structs.replace(head, audit_key_id=key.key_id)
        signed = msgspec.structs.replace(signed, head_mac=head_mac(key.mac, signed))
        await db.execute(sa.update(self._table).values(msgspec.structs.asdict(signed)))

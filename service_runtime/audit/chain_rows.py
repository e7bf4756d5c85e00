"""
The stored chain: its entries, its head and its keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.audit.chain import (
    NOTHING,
    ChainedRow,
    Content,
    Head,
    Link,
    chain_mac,
    content_mac,
    head_fits,
)
from service_runtime.audit.head import HeadRow
from service_runtime.audit.keys import ChainKey, ChainKeys
from service_runtime.audit.tables import AuditTables
from service_runtime.database.typed_rows import RowReader

log = structlog.get_logger()


class ChainRows:
    """
    Reads and writes the entries of *tables* as a chain under *keys*.
    """

    def __init__(self, tables: AuditTables, keys: ChainKeys) -> None:
        self.entries = tables.entries
        self.head = HeadRow(tables.head)
        self.keys = keys
        self.rows = RowReader(ChainedRow, tables.entries)

    async def append(self, db: AsyncConnection, head: Head, content: Content) -> None:
        """
        Add an entry behind the locked *head*.

        If the service has not written this head, the entry begins the chain anew: what is wrong
        stays to be seen, and nothing else stops.
        """
        key = await self.keys.current(db)
        last = head.last
        if not await self.fits(db, head):
            log.error("audit.head_changed", number=head.position)
            last = Link(await self._last_position(db), NOTHING)
        link, row = linked(key, last, content)
        await db.execute(sa.insert(self.entries).values(row | msgspec.structs.asdict(content)))
        await self.head.write(db, moved(head, link), key)

    async def fits(self, db: AsyncConnection, head: Head) -> bool:
        """
        Tell whether the service has written this head.
        """
        key = await self.keys.current(db)
        known = {key.key_id: key.mac}
        return head_fits(head, known) or head_fits(head, await self.keys.all(db))

    async def after(self, db: AsyncConnection, position: int, limit: int) -> Sequence[ChainedRow]:
        """
        Return up to *limit* entries behind *position*, in order.
        """
        column = self.entries.c.position
        query = self.rows.select().where(column > position).order_by(column).limit(limit)
        return await self.rows.all(db, query)

    async def first(
        self, db: AsyncConnection, condition: sa.ColumnElement[bool]
    ) -> ChainedRow | None:
        """
        Return an entry that meets *condition*.
        """
        return await self.rows.first(db, self.rows.select().where(condition).limit(1))

    async def _last_position(self, db: AsyncConnection) -> int:
        query = sa.select(sa.func.max(self.entries.c.position))
        return int((await db.execute(query)).scalar_one() or 0)


def linked(key: ChainKey, last: Link, content: Content) -> tuple[Link, dict[str, object]]:
    """
    Return the place of an entry that follows *last*, and the values of its columns.
    """
    code = content_mac(key.mac, content)
    position = last.position + 1
    mac = chain_mac(key.mac, position, last.mac, code)
    values = {
        "position": position,
        "audit_key_id": key.key_id,
        "content_mac": code,
        "chain_mac": mac,
    }
    return Link(position, mac), values


def moved(head: Head, last: Link) -> Head:
    """
    Return *head* with another last entry.
    """
    return msgspec.structs.replace(head, position=last.position, chain_mac=last.mac)

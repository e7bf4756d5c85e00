"""
The beginning of a chain, and the deletion of old entries.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.audit.chain import NOTHING, Head, Link
from service_runtime.audit.chain_rows import ChainRows, linked, moved

PRUNED_AT_ONCE = 500
_ADOPTED_AT_ONCE = 10_000

log = structlog.get_logger()


async def begin(db: AsyncConnection, chain: ChainRows) -> None:
    """
    Begin the chain with the entries that were written before there was one, unless it has begun.

    Logs an error if the head was changed by others than the service.
    """
    head = (await chain.head.lock(db)).head
    if head.head_mac == NOTHING and not await chain.after(db, 0, 1):
        key = await chain.keys.current(db)
        last = await _adopt(db, chain)
        adopted = msgspec.structs.replace(moved(head, last), adopted_position=last.position)
        await chain.head.write(db, adopted, key)
    elif not await chain.fits(db, head):
        log.error("audit.head_changed", number=head.position)


async def _adopt(db: AsyncConnection, chain: ChainRows) -> Link:
    """
    Chain the entries that are in no chain, oldest first; return the last one.
    """
    key, link, columns = await chain.keys.current(db), Link(0, NOTHING), chain.entries.c
    query = (
        chain.rows.select()
        .where(columns.position.is_(None))
        .order_by(columns.create_time, columns.audit_entry_id)
        .limit(_ADOPTED_AT_ONCE)
    )
    same = [it == sa.bindparam(f"same_{it.name}", type_=it.type) for it in _key_of(chain)]
    while rows := await chain.rows.all(db, query):
        changes = []
        for row in rows:
            link, values = linked(key, link, row)
            changes.append(
                values | {f"same_{it.name}": getattr(row, it.name) for it in _key_of(chain)}
            )
        await db.execute(sa.update(chain.entries).where(*same), changes)
    return link


def _key_of(chain: ChainRows) -> list[sa.Column[str]]:
    return list(chain.entries.primary_key.columns)


async def prune(db: AsyncConnection, chain: ChainRows, keep: timedelta, limit: int) -> int:
    """
    Delete up to *limit* of the first entries, those that are older than *keep*; return how many.

    Deletes nothing while the head does not fit: that has to be seen first.
    """
    locked = await chain.head.lock(db)
    if not await chain.fits(db, locked.head):
        return 0
    rows = await chain.after(db, locked.head.pruned_position, limit)
    last = locked.head.position
    old = list(
        takewhile(
            lambda row: row.create_time < locked.now - keep and (row.position or 0) <= last, rows
        )
    )
    if old:
        end = Link(old[-1].position or 0, old[-1].chain_mac or NOTHING)
        position = chain.entries.c.position
        await db.execute(sa.delete(chain.entries).where(position <= end.position))
        await chain.head.write(db, _pruned(locked.head, end), await chain.keys.current(db))
    return len(old)


def _pruned(head: Head, last: Link) -> Head:
    return msgspec.structs.replace(head, pruned_position=last.position, pruned_mac=last.mac)

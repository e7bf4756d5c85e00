"""
The keys that authenticate audit entries: random, and wrapped by the key ring.

A new one is made when the ring has another first key, so what was known of the old one does not
help to write new entries. The rotation of the ring wraps the older ones again, because old
entries need them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.audit.tables import audit_key
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import DataKey, KeyRing, SealBrokenError, UnknownKeyError
from service_runtime.keys.macs import Mac

_ID_BYTES = 4


class ChainKey(NamedTuple):
    """
    A key of the chain with its id.
    """

    key_id: str
    mac: Mac


class ChainKeys:
    """
    The keys of a chain in *table*, held in memory once they were read.
    """

    def __init__(self, table: sa.Table, ring: KeyRing) -> None:
        self._table = table
        self._ring = ring
        self._known: dict[str, Mac] = {}
        self._current: ChainKey | None = None

    async def create(self, db: AsyncConnection) -> None:
        """
        Make the key for the first key of the ring, unless there is one.
        """
        if await self._newest(db) is not None:
            return
        key_id = secrets.token_hex(_ID_BYTES)
        row = {
            "audit_key_id": key_id,
            "ring_key_id": self._ring.first,
            "wrapped_key": self._ring.wrap(DataKey.generate(), audit_key(key_id)),
            "create_time": database_now(),
        }
        await db.execute(sa.insert(self._table).values(row))

    async def current(self, db: AsyncConnection) -> ChainKey:
        """
        Return the key that authenticates new entries. Raises `LookupError` if `create` was never
        called, and what `KeyRing.unwrap` raises.
        """
        if self._current is None:
            row = await self._newest(db)
            if row is None:
                raise LookupError("there is no key for audit entries")
            mac = self._known[row.audit_key_id] = self._unwrapped(row)
            self._current = ChainKey(row.audit_key_id, mac)
        return self._current

    async def all(self, db: AsyncConnection) -> Mapping[str, Mac]:
        """
        Return all stored keys that the ring opens.
        """
        rows = (await db.execute(sa.select(self._table))).all()
        for row in rows:
            if row.audit_key_id not in self._known:
                with suppress(SealBrokenError, UnknownKeyError):
                    self._known[row.audit_key_id] = self._unwrapped(row)
        stored = {row.audit_key_id for row in rows}
        return {key_id: mac for key_id, mac in self._known.items() if key_id in stored}

    async def _newest(self, db: AsyncConnection) -> Any:
        columns = self._table.c
        query = (
            sa.select(columns.audit_key_id, columns.wrapped_key)
            .where(columns.ring_key_id == self._ring.first)
            .order_by(columns.create_time.desc(), columns.audit_key_id)
            .limit(1)
        )
        return (await db.execute(query)).first()

    def _unwrapped(self, row: Any) -> Mac:
        return Mac(self._ring.unwrap(row.wrapped_key, audit_key(row.audit_key_id)).raw)

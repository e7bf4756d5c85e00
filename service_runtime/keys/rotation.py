"""
Changing the keys of the ring: what is sealed under another key than the first
is wrapped anew, some at a time, while the service works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.keys.keyring import KeyRing, Place, key_prefix
from service_runtime.rpc.errors import FieldFault, InvalidArgument

USUAL_LIMIT = 1000
MOST_LIMIT = 10_000


class KeysMissingError(Exception):
    """
    The database holds what no key of the ring opens.
    """


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """
    A column of values that the ring sealed; *place* says where the value of a row lies.
    """

    column: sa.Column[Any]
    place: Callable[[Any], Place]

    @property
    def table(self) -> sa.Table:
        """
        The table that it belongs to.
        """
        table: sa.Table = self.column.table
        return table

    def under_other_keys(self, *key_ids: str) -> sa.ColumnElement[bool]:
        """
        Say in SQL that a value is sealed under none of *key_ids*.
        """
        prefixes = [key_prefix(key_id) for key_id in key_ids]
        return sa.and_(
            self.column.is_not(None),
            *(sa.func.substr(self.column, 1, len(it)) != sa.literal(it) for it in prefixes),
        )


def checked_limit(limit: int) -> int:
    """
    Return how many values one call seals anew. Raises `InvalidArgument`.
    """
    if not 0 <= limit <= MOST_LIMIT:
        raise InvalidArgument(
            "The request is not valid.", faults=[FieldFault("limit", f"must be 0 to {MOST_LIMIT}")]
        )
    return limit or USUAL_LIMIT


async def rotate(
    db: AsyncConnection, ring: KeyRing, columns: Sequence[SealedColumn], limit: int
) -> tuple[int, int]:
    """
    Wrap up to *limit* values under the first key; return how many, and how many are left.
    """
    rotated = 0
    for column in columns:
        rotated += await _rotate_column(db, ring, column, limit - rotated)
    return rotated, await count(db, columns, ring.first)


async def count(db: AsyncConnection, columns: Sequence[SealedColumn], *key_ids: str) -> int:
    """
    Count the values that are sealed under none of *key_ids*.
    """
    found = 0
    for column in columns:
        query = sa.select(sa.func.count()).select_from(column.table)
        query = query.where(column.under_other_keys(*key_ids))
        found += int((await db.execute(query)).scalar_one())
    return found


async def check_keys(db: AsyncConnection, ring: KeyRing, columns: Sequence[SealedColumn]) -> None:
    """
    Raise `KeysMissingError` where a value is sealed under a key that the ring lacks.
    """
    missing = await count(db, columns, *ring.key_ids)
    if missing:
        raise KeysMissingError(
            f"{missing} values in the database are sealed under keys that"
            " SHIPEDGE_ENCRYPTION_KEYS does not hold"
        )


async def _rotate_column(
    db: AsyncConnection, ring: KeyRing, column: SealedColumn, limit: int
) -> int:
    if limit <= 0:
        return 0
    query = sa.select(column.table).where(column.under_other_keys(ring.first)).limit(limit)
    rows = (await db.execute(query)).all()
    for row in rows:
        sealed = getattr(row, column.column.name)
        same = [key == getattr(row, key.name) for key in column.table.primary_key.columns]
        anew = ring.rewrap(sealed, column.place(row))
        await db.execute(
            sa.update(column.table)
            # Who changed the value meanwhile sealed it anew already.
            .where(*same, column.column == sealed)
            .values({column.column.name: anew})
        )
    return len(rows)

"""
Key rotation: data keys under an older key are wrapped under the first key of the ring.

It works in batches, while the service runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.keys.keyring import (
    SEALED_PREFIX,
    AssociatedData,
    KeyRing,
    SealBrokenError,
    key_prefix,
)
from service_runtime.rpc.errors import FieldFault, InvalidArgument

USUAL_LIMIT = 1000
MOST_LIMIT = 10_000

TRIED = 20
"""
How many values of a column are tried at the start: one that is damaged says nothing of the keys.
"""


class KeysMissingError(Exception):
    """
    The database holds values that no key of the ring opens.
    """


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """
    A column that the ring sealed; *bind* returns the associated data of a row's value.
    """

    column: sa.Column[Any]
    bind: Callable[[Any], AssociatedData]

    @property
    def table(self) -> sa.Table:
        table: sa.Table = self.column.table
        return table

    def under_other_keys(self, *key_ids: str) -> sa.ColumnElement[bool]:
        """
        Return the condition that a value is sealed under none of *key_ids*. One that is not
        sealed at all is damaged, and is found when it is read.
        """
        return sa.and_(
            sa.func.substr(self.column, 1, 1) == sa.literal(SEALED_PREFIX),
            *(self._begins_otherwise(key_prefix(key_id)) for key_id in key_ids),
        )

    def _begins_otherwise(self, prefix: bytes) -> sa.ColumnElement[bool]:
        return sa.func.substr(self.column, 1, len(prefix)) != sa.literal(prefix)


def checked_limit(limit: int) -> int:
    """
    Return how many values one call wraps at most: 1000 for 0. Raises `InvalidArgument`.
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
    Wrap up to *limit* values under the first key; return how many were, and how many are left.
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
    Raise `KeysMissingError` where a value is sealed under a key that the ring lacks, or under
    another key of the same name.
    """
    missing = await count(db, columns, *ring.key_ids)
    if missing:
        raise KeysMissingError(
            f"{missing} values in the database are sealed under keys that"
            " SHIPEDGE_ENCRYPTION_KEYS does not hold"
        )
    for column in columns:
        await _check_opens(db, ring, column)


async def check_key_file(
    db: AsyncConnection, missing: Path | None, columns: Sequence[SealedColumn]
) -> None:
    """
    Raise `KeysMissingError` where a key file is *missing* that sealed values need. A new one
    would open none of them.
    """
    if missing is None:
        return
    if sealed := await count(db, columns):
        raise KeysMissingError(
            f"{missing} is missing, the key of {sealed} sealed values in the database: restore it"
            " from the backup that the database comes from"
        )


async def _check_opens(db: AsyncConnection, ring: KeyRing, column: SealedColumn) -> None:
    query = sa.select(column.table).where(column.under_other_keys()).limit(TRIED)
    rows = (await db.execute(query)).all()
    if rows and not any(_opens(ring, column, row) for row in rows):
        raise KeysMissingError(
            f"the database holds values in {column.table.name} that its key does not open: the key"
            " was made anew, or comes from elsewhere; restore the one of before"
        )


def _opens(ring: KeyRing, column: SealedColumn, row: Any) -> bool:
    try:
        ring.rewrap(getattr(row, column.column.name), column.bind(row))
    except SealBrokenError:
        return False
    return True


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
        rewrapped = ring.rewrap(sealed, column.bind(row))
        await db.execute(
            sa.update(column.table)
            # A value that was changed meanwhile is already under the first key.
            .where(*same, column.column == sealed)
            .values({column.column.name: rewrapped})
        )
    return len(rows)

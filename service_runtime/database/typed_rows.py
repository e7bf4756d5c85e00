"""
Rows of the database as frozen structs, so that the type checker knows their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

RowT = TypeVar("RowT", bound=msgspec.Struct)


class RowReader(Generic[RowT]):
    """
    Selects the columns that the fields of *kind* name, and returns rows as *kind*.

    A column comes from *other_columns* if the field is there, otherwise from the first of
    *tables* that has it. Raises `LookupError` for a field without a column.
    """

    def __init__(
        self,
        kind: type[RowT],
        *tables: sa.FromClause,
        other_columns: Mapping[str, sa.ColumnElement[Any]] | None = None,
    ) -> None:
        self.kind = kind
        self.columns = tuple(
            _column(name, tables, other_columns or {}) for name in kind.__struct_fields__
        )

    def __repr__(self) -> str:
        return f"RowReader({self.kind.__name__})"

    def select(self) -> sa.Select[Any]:
        """
        Begin a query for these rows.
        """
        return sa.select(*self.columns)

    async def all(self, db: AsyncConnection, query: sa.Select[Any]) -> list[RowT]:
        """
        Return all rows of *query*, which `select` began.
        """
        return [self.kind(*row) for row in await db.execute(query)]

    async def first(self, db: AsyncConnection, query: sa.Select[Any]) -> RowT | None:
        """
        Return the first row of *query*, which `select` began, or None.
        """
        row = (await db.execute(query)).first()
        return None if row is None else self.kind(*row)


def _column(
    name: str, tables: tuple[sa.FromClause, ...], others: Mapping[str, sa.ColumnElement[Any]]
) -> sa.ColumnElement[Any]:
    if name in others:
        return others[name].label(name)
    for table in tables:
        if name in table.c:
            return table.c[name]
    raise LookupError(f"no table has a column {name}")

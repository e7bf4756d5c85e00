"""
Conditions over many keys of several columns, which both databases answer by an index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

RowKey = Sequence[Any]


def in_keys(
    columns: Sequence[sa.ColumnElement[Any]], keys: Iterable[RowKey]
) -> sa.ColumnElement[bool]:
    """
    Say that *columns* are one of *keys*, which are texts, integers and UUIDs.

    SQLite reads a whole table for `(a, b) IN (VALUES …)`, since it looks up no compound query
    in an index, but none for the same keys as a list of JSON:
    https://www.sqlite.org/rowvalue.html and `exprAnalyze` in its `whereexpr.c`.
    """
    wanted = list(keys)
    key = sa.tuple_(*columns)
    return _InKeys(key.in_(wanted), key.in_(_listed(columns, wanted)))


def _listed(columns: Sequence[sa.ColumnElement[Any]], keys: Sequence[RowKey]) -> sa.Select[Any]:
    rows = [[_as_stored(*pair) for pair in zip(columns, key, strict=True)] for key in keys]
    listed = sa.func.json_each(sa.literal(json.dumps(rows), sa.Text)).table_valued("value")
    # Of the column's own type, because for another one the index does not count.
    parts = (
        sa.cast(sa.func.json_extract(listed.c.value, f"$[{n}]"), column.type)
        for n, column in enumerate(columns)
    )
    return sa.select(*parts)


def _as_stored(column: sa.ColumnElement[Any], value: Any) -> Any:
    return UUID(str(value)).hex if isinstance(column.type, sa.Uuid) else value


class Condition(FunctionElement[bool]):
    """
    A condition whose words depend on the database.
    """

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """
        Stand in WHERE as it is: compared with true, SQLite would look nothing up for it.
        """
        return self


class _InKeys(Condition):
    inherit_cache = True


@compiles(_InKeys)
def _values(element: _InKeys, compiler: SQLCompiler, **kw: Any) -> str:
    by_values, _ = element.clauses
    return compiler.process(by_values, **kw)


@compiles(_InKeys, "sqlite")
def _json(element: _InKeys, compiler: SQLCompiler, **kw: Any) -> str:
    _, by_list = element.clauses
    return compiler.process(by_list, **kw)


class byte_order(FunctionElement[str]):  # noqa: N801 - reads as a function in statements
    """
    A text to sort by as Python sorts strings, whatever the database's collation is.
    """

    type = sa.Text()
    inherit_cache = True


@compiles(byte_order, "sqlite")
def _sqlite_byte_order(element: byte_order, compiler: SQLCompiler, **kw: Any) -> str:
    # With the sign it is no column: else SQLite may walk the index that has this order, and with
    # it all that an owner has, instead of the one that finds what is asked for.
    return f"+{compiler.process(element.clauses, **kw)}"


@compiles(byte_order, "postgresql")
def _postgresql_byte_order(element: byte_order, compiler: SQLCompiler, **kw: Any) -> str:
    return f'{compiler.process(element.clauses, **kw)} COLLATE "C"'

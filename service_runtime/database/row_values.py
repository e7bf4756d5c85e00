"""
Conditions on keys of several columns, for which both databases use an index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from service_runtime.database.instants import to_microseconds

RowKey = Sequence[Any]


def in_keys(
    columns: Sequence[sa.ColumnElement[Any]], keys: Iterable[RowKey]
) -> sa.ColumnElement[bool]:
    """
    Return the condition that *columns* are one of *keys*, which are texts, integers, UUIDs and
    instants.

    SQLite scans the whole table for `(a, b) IN (VALUES …)`, since it uses no index for a compound
    query, but uses one for the same keys as a JSON list:
    https://www.sqlite.org/rowvalue.html and `exprAnalyze` in its `whereexpr.c`.
    """
    wanted = list(keys)
    key = sa.tuple_(*columns)
    return _InKeys(key.in_(wanted), key.in_(_listed(columns, wanted)))


def _listed(columns: Sequence[sa.ColumnElement[Any]], keys: Sequence[RowKey]) -> sa.Select[Any]:
    rows = [[_as_stored(*pair) for pair in zip(columns, key, strict=True)] for key in keys]
    listed = sa.func.json_each(sa.literal(json.dumps(rows), sa.Text)).table_valued("value")
    # Cast to the type of the column: for another type the index is not used.
    parts = (
        sa.cast(sa.func.json_extract(listed.c.value, f"$[{n}]"), column.type)
        for n, column in enumerate(columns)
    )
    return sa.select(*parts)


def _as_stored(column: sa.ColumnElement[Any], value: Any) -> Any:
    if isinstance(column.type, sa.Uuid):
        return UUID(str(value)).hex
    return to_microseconds(value) if isinstance(value, datetime) else value


class Condition(FunctionElement[bool]):
    """
    A condition with different SQL for each database.
    """

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """
        Return the condition unchanged: for `condition = 1` SQLite would use no index.
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
    An order of texts by code point, as Python sorts them, in any collation.
    """

    type = sa.Text()
    inherit_cache = True


@compiles(byte_order, "sqlite")
def _sqlite_byte_order(element: byte_order, compiler: SQLCompiler, **kw: Any) -> str:
    # The sign makes it an expression, for which no index has this order. Otherwise SQLite may
    # walk all rows of an owner in the order of an index, instead of using the index of the WHERE.
    return f"+{compiler.process(element.clauses, **kw)}"


@compiles(byte_order, "postgresql")
def _postgresql_byte_order(element: byte_order, compiler: SQLCompiler, **kw: Any) -> str:
    return f'{compiler.process(element.clauses, **kw)} COLLATE "C"'

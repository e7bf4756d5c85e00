"""
Expressions of SQL that are written once for both databases.

In an expression `$name` is a value that is given and `@name` a column of the row that is
changed. `{now}` is the database's clock, and `{now + $delay_us}` an instant that is shifted by
a number of microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from service_runtime.database.instants import SQLITE_NOW

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

_INSTANT = re.compile(r"\{([$@]?\w+)(?: ([+-]) ([^{}]+))?\}")
_NAME = re.compile(r"([$@])(\w+)")


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """
    How a statement of a database writes the parts of an expression.

    Each part is a format: *now* of the clock, *span* of an interval of some microseconds,
    *given* and *column* of a name, *source* of the values that an INSERT stores. *special* has
    the given values of this statement that are written otherwise.
    """

    now: str
    span: str = "{}"
    given: str = ":{}"
    column: str = "{}"
    source: str = "VALUES ({})"
    special: Mapping[str, str] = field(default_factory=dict)

    def render(self, expression: str) -> str:
        """
        Write an expression for this database.
        """
        return _NAME.sub(self._named, _INSTANT.sub(self._shifted, expression))

    def assignments(self, columns: Mapping[str, str]) -> str:
        """
        Write what follows SET in an UPDATE.
        """
        return ",\n    ".join(f"{name} = {self.render(it)}" for name, it in columns.items())

    def insert(self, table: str, columns: Mapping[str, str]) -> str:
        """
        Write an INSERT of a row up to the end of its values, each beside its column.
        """
        values = ", ".join(map(self.render, columns.values()))
        return f"INSERT INTO {table} ({', '.join(columns)})\n{self.source.format(values)}"

    def _shifted(self, match: re.Match[str]) -> str:
        instant, sign, span = match.groups()
        base = self.now if instant == "now" else instant
        return f"{base} {sign} {self.span.format(span)}" if sign else base

    def _named(self, match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind == "@":
            return self.column.format(name)
        return self.special.get(name) or self.given.format(name)


POSTGRESQL = SqlDialect("now()", "{} * interval '1 microsecond'", source="SELECT {}")
SQLITE = SqlDialect(":now")
"""
Instants on SQLite are integer microseconds; a transaction asks once for *now*.
"""


# How SQLAlchemy's updates write an expression.
_CORE_POSTGRESQL = replace(
    POSTGRESQL,
    special={
        **{
            name: f"CAST(:{name} AS bigint)"
            for name in ("lifetime_us", "hold_us", "lease_us", "step_us")
        },
        "failure_kind": "CAST(:failure_kind AS text)",
        "response_code": "CAST(:response_code AS integer)",
    },
)
_CORE_SQLITE = SqlDialect(SQLITE_NOW)


def clause(expression: str, given: Mapping[str, object]) -> sa.ColumnElement[Any]:
    """
    Make of an expression a value of an SQLAlchemy update, on either database.
    """
    names = [name for kind, name in _NAME.findall(expression) if kind == "$"]
    values = {name: given[name] for name in names}
    texts = _texts(expression)
    return _Clause(*(text.bindparams(**values) for text in texts) if values else texts)


@cache
def _texts(expression: str) -> tuple[sa.TextClause, sa.TextClause]:
    return sa.text(_CORE_POSTGRESQL.render(expression)), sa.text(_CORE_SQLITE.render(expression))


class _Clause(FunctionElement[Any]):
    """
    An expression with its text for each database.
    """

    inherit_cache = True


@compiles(_Clause, "postgresql")
def _postgresql(element: _Clause, compiler: SQLCompiler, **kw: Any) -> str:
    text, _ = element.clauses
    return compiler.process(text, **kw)


@compiles(_Clause, "sqlite")
def _sqlite(element: _Clause, compiler: SQLCompiler, **kw: Any) -> str:
    _, text = element.clauses
    return compiler.process(text, **kw)

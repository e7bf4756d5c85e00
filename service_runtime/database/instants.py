"""
Instants in columns and statements, and the database's clock, on SQLite and PostgreSQL.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler

SQLITE_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
"""
The clock of SQLite in microseconds since 1970; `unixepoch('subsec')` needs 3.42.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(instant: datetime) -> int:
    """
    Return the microseconds from 1970 to an aware *instant*.
    """
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """
    Return the instant *count* microseconds after 1970, in UTC.
    """
    return _EPOCH + timedelta(microseconds=count)


def micros(span: timedelta) -> int:
    """
    Count the microseconds of *span*.
    """
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


class Instant(sa.types.TypeDecorator[datetime]):
    """
    An aware instant: timestamptz in PostgreSQL, integer microseconds in SQLite.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.BigInteger())
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """
        Convert an aware datetime. Raises `ValueError` for a naive one.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware of its zone")
        return to_microseconds(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return from_microseconds(value) if dialect.name == "sqlite" else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as a function in statements
    """
    The clock of the database, by which leases and due times are measured.
    """

    type = Instant()
    inherit_cache = True


class after_now(FunctionElement[datetime]):  # noqa: N801 - reads as a function in statements
    """
    The clock of the database plus a number of microseconds; NULL for NULL.
    """

    type = Instant()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(_element: database_now, _compiler: SQLCompiler, **_: Any) -> str:
    return SQLITE_NOW


@compiles(database_now, "postgresql")
def _postgresql_now(_element: database_now, _compiler: SQLCompiler, **_: Any) -> str:
    return "now()"


@compiles(after_now, "sqlite")
def _sqlite_after(element: after_now, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({SQLITE_NOW} + {compiler.process(element.clauses, **kw)})"


@compiles(after_now, "postgresql")
def _postgresql_after(element: after_now, compiler: SQLCompiler, **kw: Any) -> str:
    micros = compiler.process(element.clauses, **kw)
    return f"(now() + CAST({micros} AS bigint) * interval '1 microsecond')"


def after(delay: timedelta | None) -> sa.ColumnElement[datetime]:
    """
    Return the expression for the database's clock plus *delay*; NULL for None.
    """
    micros = None if delay is None else delay // _MICROSECOND
    return after_now(sa.literal(micros, sa.BigInteger))

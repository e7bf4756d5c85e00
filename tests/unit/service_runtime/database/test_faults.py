"""
Whose fault an error of the database is.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

from service_runtime.database.faults import (
    StoreFault,
    is_damaged,
    is_unavailable,
    store_fault,
)

VALUES, STATEMENT, UNAVAILABLE = StoreFault.VALUES, StoreFault.STATEMENT, StoreFault.UNAVAILABLE

POSTGRESQL = {
    "22001": VALUES,  # a string that is too long
    "22003": VALUES,  # a number out of range
    "22021": VALUES,  # a character that the encoding does not have
    "23502": VALUES,  # not null
    "23505": VALUES,  # unique
    "23514": VALUES,  # check
    "54000": VALUES,  # a row that is too large for an index
    "42601": STATEMENT,  # syntax
    "42703": STATEMENT,  # no such column
    "42P01": STATEMENT,  # no such table
    "42501": UNAVAILABLE,  # privilege missing
    "08006": UNAVAILABLE,  # connection failure
    "0A000": UNAVAILABLE,  # the plan of a cached statement has changed
    "25006": UNAVAILABLE,  # read-only: a standby, or a full disk of some providers
    "25P03": UNAVAILABLE,  # idle in a transaction for too long
    "28000": UNAVAILABLE,  # login rejected
    "28P01": UNAVAILABLE,  # password wrong
    "3D000": UNAVAILABLE,  # no such database
    "40001": UNAVAILABLE,  # serialisation failure
    "40P01": UNAVAILABLE,  # deadlock
    "53100": UNAVAILABLE,  # disk full
    "53300": UNAVAILABLE,  # too many connections
    "55000": UNAVAILABLE,  # the database does not take connections
    "55P03": UNAVAILABLE,  # lock not available
    "57014": UNAVAILABLE,  # statement cancelled or timed out
    "57P01": UNAVAILABLE,  # shutdown by an administrator
    "57P03": UNAVAILABLE,  # starting up
    "58030": UNAVAILABLE,  # I/O error
    "P0001": UNAVAILABLE,  # raised by a trigger that is not ours
    "XX000": UNAVAILABLE,  # internal error of the server
    "XX001": UNAVAILABLE,  # data corrupted
    "99999": UNAVAILABLE,  # not known to anybody
}

SQLITE = {
    sqlite3.SQLITE_CONSTRAINT: VALUES,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: VALUES,
    sqlite3.SQLITE_MISMATCH: VALUES,
    sqlite3.SQLITE_TOOBIG: VALUES,
    sqlite3.SQLITE_ERROR: STATEMENT,
    sqlite3.SQLITE_MISUSE: STATEMENT,
    sqlite3.SQLITE_RANGE: STATEMENT,
    sqlite3.SQLITE_BUSY: UNAVAILABLE,
    sqlite3.SQLITE_BUSY_SNAPSHOT: UNAVAILABLE,
    sqlite3.SQLITE_CANTOPEN: UNAVAILABLE,
    sqlite3.SQLITE_CORRUPT: UNAVAILABLE,
    sqlite3.SQLITE_FULL: UNAVAILABLE,
    sqlite3.SQLITE_IOERR: UNAVAILABLE,
    sqlite3.SQLITE_IOERR_FSYNC: UNAVAILABLE,
    sqlite3.SQLITE_LOCKED: UNAVAILABLE,
    sqlite3.SQLITE_NOMEM: UNAVAILABLE,
    sqlite3.SQLITE_NOTADB: UNAVAILABLE,
    sqlite3.SQLITE_PERM: UNAVAILABLE,
    sqlite3.SQLITE_READONLY: UNAVAILABLE,
    sqlite3.SQLITE_READONLY_DBMOVED: UNAVAILABLE,
}


def postgresql(state: str, message: str = "refused") -> BaseException:
    """
    Make the error that asyncpg makes of a server's answer.
    """
    detail = {"D": "Failing row contains (secret)."}
    made: BaseException = asyncpg.PostgresError.new({"C": state, "M": message, **detail})
    return made


def sqlite(code: int, message: str = "refused") -> sqlite3.Error:
    """
    Make an error of SQLite's driver.
    """
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode = code
    return error


def wrapped(error: BaseException) -> BaseException:
    """
    Wrap a driver's error as SQLAlchemy does.
    """
    orig = error
    if not isinstance(error, sqlite3.Error):
        adapter: Any = AsyncAdapt_asyncpg_dbapi
        orig = adapter(asyncpg).Error(str(error), error)
        orig.__cause__ = error
    return sa.exc.DBAPIError("SELECT 1", {}, orig)


@pytest.mark.parametrize(("state", "fault"), POSTGRESQL.items())
def test_postgresql(state: str, fault: StoreFault) -> None:
    """
    Only data and integrity classes blame the values; what is not known blames the database.
    """
    error = postgresql(state)
    assert store_fault(error) is store_fault(wrapped(error)) is fault
    assert is_unavailable(error) == (fault is not VALUES)


@pytest.mark.parametrize(("code", "fault"), SQLITE.items())
def test_sqlite(code: int, fault: StoreFault) -> None:
    """
    Extended codes count as their primary ones.
    """
    error = sqlite(code)
    assert store_fault(error) is store_fault(wrapped(error)) is fault
    assert is_unavailable(error) == (fault is not VALUES)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError(111, "refused"), UNAVAILABLE),
        (TimeoutError(), UNAVAILABLE),
        (sa.exc.TimeoutError("the pool is used up"), UNAVAILABLE),
        (sa.exc.PendingRollbackError("rolled back"), UNAVAILABLE),
        (sa.exc.ResourceClosedError("closed"), UNAVAILABLE),
        (asyncpg.InterfaceError("connection is closed"), UNAVAILABLE),
        (asyncpg.exceptions.ClientConfigurationError("no host"), UNAVAILABLE),
        (sqlite3.OperationalError("unable to open"), UNAVAILABLE),
        (sqlite3.ProgrammingError("wrong number of bindings"), STATEMENT),
        (ZeroDivisionError(), None),
        (sa.exc.StatementError("a value", "INSERT", {}, ValueError("naive")), None),
    ],
)
def test_errors_without_a_code(error: BaseException, fault: StoreFault | None) -> None:
    """
    Errors of the way to the database are its own; errors of other code are not judged.
    """
    assert store_fault(error) is fault


@pytest.mark.parametrize(
    ("error", "damaged"),
    [
        (sqlite(sqlite3.SQLITE_CORRUPT), True),
        (sqlite(sqlite3.SQLITE_CORRUPT_INDEX), True),
        (sqlite(sqlite3.SQLITE_NOTADB), True),
        (postgresql("XX001"), True),
        (postgresql("XX002"), True),
        (sqlite(sqlite3.SQLITE_FULL), False),
        (postgresql("25006"), False),
        (ValueError(), False),
    ],
)
def test_damage(error: BaseException, *, damaged: bool) -> None:
    """
    A damaged file or table differs from a database that is away.
    """
    assert is_damaged(error) is is_damaged(wrapped(error)) is damaged

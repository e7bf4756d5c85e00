"""
What an error of the database says: of the values that it was given, of a statement of ours, or
of the database itself.
"""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

import asyncpg
import sqlalchemy as sa


class StoreFault(Enum):
    """
    Whose fault an error of the database is.
    """

    VALUES = auto()
    """
    What was to be written: written without it, the rest succeeds.
    """

    STATEMENT = auto()
    """
    A statement that the database does not understand: a bug of ours, or tables that are not
    those of this version.
    """

    UNAVAILABLE = auto()
    """
    The database, which does not answer or cannot do its work.
    """


# SQLSTATE classes: data exception, integrity constraint violation. 54000 is a row that is too
# large for an index; its neighbours would be refused for ever with it.
_VALUE_CLASSES = frozenset({"22", "23"})
_VALUE_STATES = frozenset({"54000"})
_STATEMENT_CLASS = "42"
_PRIVILEGE_MISSING = "42501"
_DAMAGED_STATES = frozenset({"XX001", "XX002"})

_PRIMARY_CODE = 0xFF
_VALUE_CODES = frozenset(
    {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}
)
_STATEMENT_CODES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE})
_DAMAGED_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_DRIVERS = (sa.exc.DBAPIError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError)
_AWAY = (
    OSError,
    TimeoutError,
    sa.exc.TimeoutError,
    # What a transaction raises whose connection was given up under it.
    sa.exc.PendingRollbackError,
    sa.exc.ResourceClosedError,
)


def store_fault(error: BaseException) -> StoreFault | None:
    """
    Return whose fault an error of the database is; None for any other error.

    An error that is not known is the database's: callers repeat what they asked for, instead of
    giving up on what nothing is wrong with.
    """
    if isinstance(error, _AWAY):
        return StoreFault.UNAVAILABLE
    if not isinstance(error, _DRIVERS):
        return None
    driver = _of_driver(error)
    if isinstance(driver, sqlite3.Error):
        return _of_sqlite(driver)
    if isinstance(error, sa.exc.IntegrityError | sa.exc.DataError):
        return StoreFault.VALUES
    return _of_postgresql(driver)


def is_unavailable(error: BaseException) -> bool:
    """
    Tell whether the database is to blame for *error*, or a statement of ours, and not what was
    to be written: the same may succeed later.
    """
    return store_fault(error) in {StoreFault.UNAVAILABLE, StoreFault.STATEMENT}


def is_damaged(error: BaseException) -> bool:
    """
    Tell whether the database says that what it has stored is damaged.
    """
    driver = _of_driver(error)
    if isinstance(driver, sqlite3.Error):
        return _sqlite_code(driver) in _DAMAGED_CODES
    return _state(driver) in _DAMAGED_STATES


def code_of(error: BaseException) -> str:
    """
    Return the SQLSTATE of an error, or SQLite's name for it; empty where there is none.
    """
    driver = _of_driver(error)
    return _state(driver) or str(getattr(driver, "sqlite_errorname", ""))


def _of_driver(error: BaseException) -> BaseException:
    """
    Return the error of the driver inside of one of SQLAlchemy.
    """
    if not isinstance(error, sa.exc.DBAPIError) or error.orig is None:
        return error
    # The adapter of asyncpg keeps the driver's error as the cause of its own.
    cause = error.orig.__cause__
    return error.orig if cause is None or isinstance(error.orig, sqlite3.Error) else cause


def _of_sqlite(error: sqlite3.Error) -> StoreFault:
    code = _sqlite_code(error)
    if code in _VALUE_CODES:
        return StoreFault.VALUES
    if code in _STATEMENT_CODES or (not code and isinstance(error, sqlite3.ProgrammingError)):
        return StoreFault.STATEMENT
    return StoreFault.UNAVAILABLE


def _sqlite_code(error: sqlite3.Error) -> int:
    # Errors that the driver itself raises have none.
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _of_postgresql(error: BaseException) -> StoreFault:
    state = _state(error)
    if state[:2] in _VALUE_CLASSES or state in _VALUE_STATES or _not_encodable(error):
        return StoreFault.VALUES
    if state[:2] == _STATEMENT_CLASS and state != _PRIVILEGE_MISSING:
        return StoreFault.STATEMENT
    return StoreFault.UNAVAILABLE


def _state(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", "") or "")


def _not_encodable(error: BaseException) -> bool:
    """
    Tell whether the driver could not send a value: its data error is also a `ValueError`.
    """
    return (
        isinstance(error, asyncpg.InterfaceError)
        and isinstance(error, ValueError)
        and not isinstance(error, asyncpg.exceptions.ClientConfigurationError)
    )

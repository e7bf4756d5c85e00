"""
Traces of errors, without values.
"""

from __future__ import annotations

import sqlite3

import pytest
from asyncpg.exceptions import (
    InsufficientPrivilegeError,
    InvalidTextRepresentationError,
    UniqueViolationError,
)
from sqlalchemy.exc import DBAPIError, StatementError

from service_runtime.observability.traces import database_problem, trace_text

MARKER = "marker-value"


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """
    Raise an error, because of a cause if there is one, and return it.
    """
    try:
        raise error from cause  # noqa: TRY301 - a trace is wanted
    except BaseException as caught:  # noqa: BLE001 - whatever was given
        return caught


def refused(cause: Exception, statement: str = "INSERT INTO things VALUES ($1)") -> DBAPIError:
    """
    Make the error of the library for an error of the driver.
    """
    error = raised(DBAPIError(statement, {"x": MARKER}, cause), cause)
    assert isinstance(error, DBAPIError)
    return error


def sqlite_error(code: int, message: str) -> sqlite3.Error:
    """
    Make an error of SQLite with the note of its file.
    """
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode, error.sqlite_errorname = code, "X"
    error.add_note("/data/dispatch.db")
    return error


def test_error_of_ours_is_shown_whole() -> None:
    """
    Place, type and text of an error that is not a database's.
    """
    text = trace_text(raised(ValueError("no such thing")))

    assert "Traceback (most recent call last):" in text
    assert "in raised" in text
    assert text.endswith("ValueError: no such thing")


@pytest.mark.parametrize(
    "error",
    [
        refused(UniqueViolationError(f"Key (x)=({MARKER}) already exists.")),
        raised(KeyError("x"), refused(InvalidTextRepresentationError(f'integer: "{MARKER}"'))),
        raised(StatementError(MARKER, "SELECT 1", {"x": MARKER}, ValueError(MARKER))),
        refused(ValueError(MARKER)),
        ExceptionGroup("two", [refused(ValueError(MARKER)), KeyError("x")]),
    ],
)
def test_values_are_not_shown(error: BaseException) -> None:
    """
    Neither an error of the database nor what led to it has its text in the log.
    """
    text = trace_text(error)

    assert MARKER not in text
    assert "Error" in text


def test_statement_is_cut() -> None:
    """
    A long statement does not fill the log.
    """
    text = trace_text(refused(ValueError("x"), "SELECT " + "column, " * 1000))

    assert "SQL: SELECT column" in text
    assert len(text) < 1500


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ValueError("x"), ""),
        (
            refused(InsufficientPrivilegeError("permission denied for table deliveries")),
            "sqlstate 42501, message permission denied for table deliveries",
        ),
        (
            refused(sqlite_error(sqlite3.SQLITE_CORRUPT, "database disk image is malformed")),
            "sqlite_errorname X, message database disk image is malformed, file /data/dispatch.db",
        ),
        (refused(sqlite_error(sqlite3.SQLITE_CONSTRAINT, MARKER)), "sqlite_errorname X"),
        (refused(UniqueViolationError(f"Key ({MARKER}) already exists")), "sqlstate 23505"),
    ],
)
def test_part_of_the_database_is_named(error: BaseException, problem: str) -> None:
    """
    What an operator needs: the code, and the message where it holds no values.
    """
    assert database_problem(error) == problem

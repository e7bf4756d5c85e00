"""
Traces of errors without the values that a database quotes.

A driver repeats what it was given: `Key (email)=(ann@example.com) already exists`. So of its
errors only the kind is shown, with the names of the table and the constraint.
"""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator

from sqlalchemy.exc import StatementError

_DRIVERS = ("asyncpg", "sqlite3", "aiosqlite", "sqlalchemy.dialects")
_NAMES = ("sqlstate", "sqlite_errorname", "table_name", "column_name", "constraint_name")
_LONGEST_STATEMENT = 300

_WITHOUT_VALUES = frozenset(
    {"08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58", "XX"}
)
"""
The classes of SQLSTATE whose messages name objects of the database, never values of a row.
"""

_PRIMARY_CODE = 0xFF
_WITH_VALUES = frozenset(
    {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}
)
"""
The errors of SQLite that concern values of a row.
"""

_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"


def trace_text(error: BaseException) -> str:
    """
    Return the trace of *error* and of its causes, without values that a database quotes.
    """
    return "".join(_lines(error, hidden=False)).rstrip("\n")


def database_problem(error: BaseException) -> str:
    """
    Describe the database's part in *error* without values: SQLSTATE, names, and the message where
    it quotes nothing. Empty if no database had a part in it.
    """
    found: dict[str, str] = {}
    for each in _chain(error):
        if _is_of_database(each):
            found |= {name: text for name in _NAMES if (text := str(getattr(each, name, "") or ""))}
            found |= _message(each)
    return ", ".join(f"{name.removesuffix('_name')} {text}" for name, text in found.items())


def _lines(error: BaseException, *, hidden: bool) -> Iterator[str]:
    """
    Yield the trace; what led to an error of the database is *hidden* as the error itself.
    """
    of_database = hidden or _is_of_database(error)
    if error.__cause__ is not None:
        yield from _lines(error.__cause__, hidden=of_database)
        yield _CAUSED
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _lines(error.__context__, hidden=of_database)
        yield _DURING
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for member in members:
        yield from _lines(member, hidden=of_database)
        yield _CAUSED
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield from [_shown(error)] if of_database else traceback.format_exception_only(error)


def _shown(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    parts = [kind, database_problem(error)]
    if isinstance(error, StatementError) and error.statement:
        parts.append(f"SQL: {error.statement[:_LONGEST_STATEMENT]}")
    return ": ".join(filter(None, parts)) + "\n"


def _is_of_database(error: BaseException) -> bool:
    return isinstance(error, StatementError) or type(error).__module__.startswith(_DRIVERS)


def _message(error: BaseException) -> dict[str, str]:
    """
    Return the first line of the database's message if it quotes no values, and the file that it
    concerns.
    """
    if isinstance(error, sqlite3.Error):
        code = int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY_CODE
        if not code or code in _WITH_VALUES:
            return {}
        notes = getattr(error, "__notes__", ())
        return {"message": _first_line(error), "file": ", ".join(notes)}
    state = str(getattr(error, "sqlstate", "") or "")
    if state[:2] not in _WITHOUT_VALUES or not type(error).__module__.startswith("asyncpg"):
        return {}
    return {"message": _first_line(error)} if error.args else {}


def _first_line(error: BaseException) -> str:
    return str(error.args[0]).partition("\n")[0] if error.args else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__

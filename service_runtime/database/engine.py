"""
Engines and transactions of a service's database, SQLite or PostgreSQL, chosen by its URL.

SQLAlchemy Core only. SQLite allows one writer at a time, so a transaction that writes takes a
lock of this process and begins with BEGIN IMMEDIATE.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service_runtime.database.measured import measure
from service_runtime.database.sessions import STATEMENT_SECONDS, Sessions, connect_args
from service_runtime.database.urls import driver_url, parse_database_url

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 4000",
)
_POOL_SIZE = 8

_SWITCH_SECONDS = 0.0002
"""
The seconds after which a busy event loop must hand the interpreter's lock to the thread of
SQLite's driver, which releases it at each row; the default of the interpreter is 5 ms.
"""

# The lock of writers for each SQLite engine; PostgreSQL needs none.
_write_locks: WeakKeyDictionary[AsyncEngine, asyncio.Lock] = WeakKeyDictionary()


class _SqliteConnection(sqlite3.Connection):
    """
    A connection that gives up its transaction and its view of the file when it is closed.

    SQLite keeps a closed connection open, with its locks, while a statement has rows left to
    read. A cancelled task leaves such statements, and its traceback may refer to them for long:
    until those are collected, nobody could write.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """
        Make a cursor, which is closed with the connection.
        """
        made = super().cursor(factory)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        """
        End all statements and close the connection; what was not committed is rolled back.
        """
        for cursor in list(self._cursors):
            cursor.close()
        # The driver may close a connection twice.
        self._cursors.clear()
        super().close()


def create_engine(
    url: str,
    *,
    application_name: str,
    statement_seconds: float | None = STATEMENT_SECONDS,
    pool: str = "main",
) -> AsyncEngine:
    """
    Create the engine for *url*, `sqlite:///path` or `postgresql://user@host/name`.

    On PostgreSQL no statement takes longer than *statement_seconds*; without them there is no
    limit. Metrics show its connections as those of *pool*. The folder of a SQLite file is created,
    readable by its owner alone. Raises `ValueError` for any other URL, and `OSError` for a file of
    authorities that cannot be read.
    """
    parsed = parse_database_url(url)
    backend = parsed.get_backend_name()
    parsed = parsed.set(drivername=_DRIVERS[backend])
    if backend == "sqlite":
        engine = _sqlite(parsed)
    else:
        engine = _postgresql(parsed, application_name, statement_seconds)
    measure(engine.sync_engine, pool, _POOL_SIZE if backend == "sqlite" else 2 * _POOL_SIZE)
    return engine


def _sqlite(url: URL) -> AsyncEngine:
    Path(url.database or "").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.setswitchinterval(_SWITCH_SECONDS)
    engine = create_async_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={"factory": _SqliteConnection},
    )
    file = str(url.database)

    def name_file(context: sa.engine.ExceptionContext) -> None:
        # SQLite says what is wrong, but not with which file.
        context.original_exception.add_note(file)

    sa.event.listen(engine.sync_engine, "handle_error", name_file)
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    _write_locks[engine] = asyncio.Lock()
    return engine


def _postgresql(url: URL, application_name: str, statement_seconds: float | None) -> AsyncEngine:
    url, tls = driver_url(url)
    engine = create_async_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_SIZE,
        pool_timeout=STATEMENT_SECONDS,
        hide_parameters=True,
        connect_args={**tls, **connect_args(application_name, statement_seconds)},
    )
    Sessions(engine)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver must not begin transactions by itself: `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """
    Open a transaction that writes: committed at the end, rolled back on an error.
    """
    lock = _write_locks.get(engine)
    if lock is None:
        async with engine.begin() as db:
            yield db
        return
    async with lock, engine.connect() as db:
        await db.execution_options(writes=True)
        async with db.begin():
            yield db


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """
    Open a transaction that only reads, with one consistent view.
    """
    async with engine.connect() as db, db.begin():
        yield db


def sqlite_file(url: str) -> Path | None:
    """
    Return the file of a SQLite URL; None for PostgreSQL.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(os.fspath(parsed.database))

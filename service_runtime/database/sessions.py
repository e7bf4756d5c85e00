"""
Sessions on PostgreSQL that end soon after nobody is at the other end any more.

A session that outlives its client keeps its locks, and whoever waits for them stands still. The
network does not always say that a connection is gone, so both ends ask, and give up.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

STATEMENT_SECONDS = 5.0
"""
The longest time for a statement of usual work, waiting for locks included.
"""

LONG_STATEMENT_SECONDS = 30.0
"""
The longest time for a statement that may read or change many rows: lists, counts, housekeeping.
"""

SILENT_SECONDS = 5
"""
So long the server waits for the next statement of an open transaction, and each end for the
other's acknowledgement of what was sent.
"""

CONNECT_SECONDS = 5.0
MARGIN_SECONDS = 1.0
"""
How much longer than the server this end waits: a server that is there gives up first and says
so. What is still silent then is not there.
"""

_KEEPALIVE_SECONDS = 2
_KEEPALIVES = 2
_OPENED = "opened"
_SESSIONS = "sessions"


def connect_args(application_name: str, statement_seconds: float | None) -> dict[str, Any]:
    """
    Return what the driver is given for each connection. Without *statement_seconds* neither
    statements nor open transactions are limited.
    """
    limited = statement_seconds is not None
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": None
        if statement_seconds is None
        else statement_seconds + MARGIN_SECONDS,
        "server_settings": {
            "application_name": application_name,
            "timezone": "UTC",
            # Compiling a query takes longer than any of ours may run.
            "jit": "off",
            "statement_timeout": _milliseconds(statement_seconds or 0),
            "idle_in_transaction_session_timeout": _milliseconds(SILENT_SECONDS if limited else 0),
            "tcp_keepalives_idle": str(SILENT_SECONDS),
            "tcp_keepalives_interval": str(_KEEPALIVE_SECONDS),
            "tcp_keepalives_count": str(_KEEPALIVES),
            "tcp_user_timeout": _milliseconds(SILENT_SECONDS),
        },
    }


class Sessions:
    """
    The connections of *engine*. When a statement gets no answer in time, its connection is
    closed at once, and none that was opened before that moment is used again.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._condemned_until = 0.0
        sa.event.listen(engine.sync_engine, "connect", self._opened)
        sa.event.listen(engine.sync_engine, "handle_error", self._failed)
        sa.event.listen(engine.sync_engine, "close", self._closing)

    def condemned(self, info: dict[str, Any]) -> bool:
        """
        Tell whether a connection may not be used any more, by what the pool notes of it.
        """
        return bool(info.get(_OPENED, 0.0) < self._condemned_until)

    def _opened(self, connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info[_OPENED] = time.monotonic()
        entry.info[_SESSIONS] = self
        _keep_alive(connection.driver_connection)

    def _failed(self, context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        if not isinstance(error, TimeoutError) or context.connection is None:
            return
        self._condemned_until = time.monotonic()
        # For SQLAlchemy a timeout concerns this connection alone.
        context.is_disconnect = context.invalidate_pool_on_disconnect = True
        if not context.connection.closed and not context.connection.invalidated:
            abort(context.connection.connection.driver_connection)

    def _closing(self, connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        if self.condemned(entry.info):
            # Saying goodbye to a server that is silent takes two seconds.
            abort(connection.driver_connection)


def is_usable(db: AsyncConnection) -> bool:
    """
    Tell whether a connection may still be used: neither has the server closed it, for example
    by a restart, nor is it condemned.
    """
    connection = db.sync_connection
    if connection is None or connection.invalidated:
        return False
    driver: Any = connection.connection.driver_connection
    if driver is None or driver.is_closed():
        return False
    info = connection.connection.info
    sessions = info.get(_SESSIONS)
    return sessions is None or not sessions.condemned(info)


def abort(driver: Any) -> None:
    """
    Close a connection of the driver without a word to the server.
    """
    if driver is not None and not driver.is_closed():
        driver.terminate()


def _keep_alive(driver: Any) -> None:
    """
    Have the system ask a silent server whether it is there.
    """
    own: socket.socket | None = driver._transport.get_extra_info("socket")  # noqa: SLF001 - the driver offers no other way
    if own is None or own.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": SILENT_SECONDS,
        "TCP_KEEPINTVL": _KEEPALIVE_SECONDS,
        "TCP_KEEPCNT": _KEEPALIVES,
        "TCP_USER_TIMEOUT": SILENT_SECONDS * 1000,
    }
    for name, value in options.items():
        # Not every system has all of them.
        if option := getattr(socket, name, None):
            own.setsockopt(socket.IPPROTO_TCP, option, value)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))

"""
Kept-alive connections: each is taken and put back in constant time.
"""

import asyncio
import time
from collections import deque
from itertools import takewhile

from dispatch_service.egress.connection import Connection
from dispatch_service.egress.requests import ConnectionKey

_SWEEPS = 6


class ConnectionPool:
    """
    Keep idle connections by owner, endpoint and certificate, and count all open connections.

    The connection used last is taken first. One timer closes connections that have been idle for
    `idle_seconds`; a connection older than `max_age_seconds` is not put back. Both limits make
    sure that a name which has moved is resolved and checked again. *open* are all connections that
    have not closed, idle or not. For one event loop.
    """

    def __init__(
        self,
        *,
        idle_seconds: float = 30.0,
        max_age_seconds: float = 300.0,
        max_idle: int = 4096,
        max_idle_per_key: int = 32,
    ) -> None:
        self.open: set[Connection] = set()
        self._idle_seconds = idle_seconds
        self._max_age_seconds = max_age_seconds
        self._max_idle = max_idle
        self._max_idle_per_key = max_idle_per_key
        self._by_key: dict[ConnectionKey, deque[Connection]] = {}
        # All idle connections, the one that has been idle for longest first.
        self._by_age: dict[Connection, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def open_count(self) -> int:
        """
        Return the number of open connections, idle or not.
        """
        return len(self.open)

    @property
    def idle_count(self) -> int:
        """
        Return the number of connections without a request.
        """
        return len(self._by_age)

    def lost(self, connection: Connection) -> None:
        """
        Forget a connection that has closed.
        """
        self.open.discard(connection)
        if connection in self._by_age:
            self._remove_idle(connection)

    def has(self, key: ConnectionKey) -> bool:
        """
        Tell whether there is an idle connection of *key*.
        """
        return key in self._by_key

    def take(self, key: ConnectionKey) -> Connection | None:
        """
        Return the idle connection of *key* that was used last; None if there is none.
        """
        bucket = self._by_key.get(key)
        if bucket is None:
            return None
        connection = bucket.pop()
        del self._by_age[connection]
        if not bucket:
            del self._by_key[key]
        return connection

    def put(self, connection: Connection) -> None:
        """
        Keep a connection for the next request, or close it if no other may follow.
        """
        now = time.monotonic()
        bucket = self._by_key.get(connection.key)
        if (
            not connection.reusable
            or now - connection.opened_at > self._max_age_seconds
            or not self._max_idle
            or (bucket is not None and len(bucket) >= self._max_idle_per_key)
        ):
            connection.abort()
            return
        if len(self._by_age) >= self._max_idle:
            # The endpoint of the connection used longest ago is the least likely to be next.
            oldest = next(iter(self._by_age))
            self._remove_idle(oldest)
            oldest.abort()
            bucket = self._by_key.get(connection.key)
        connection.reset_response()
        connection.idle_since = now
        if bucket is None:
            bucket = self._by_key[connection.key] = deque()
        bucket.append(connection)
        self._by_age[connection] = None
        if self._timer is None:
            self._set_timer()

    def close(self) -> None:
        """
        Close every connection, whatever it is doing.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in tuple(self.open):
            connection.abort()

    def _remove_idle(self, connection: Connection) -> None:
        del self._by_age[connection]
        bucket = self._by_key[connection.key]
        bucket.remove(connection)
        if not bucket:
            del self._by_key[connection.key]

    def _set_timer(self) -> None:
        # A few sweeps in the life of an idle connection: it is closed a sixth of it early at most.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._idle_seconds / _SWEEPS, self._sweep)

    def _sweep(self) -> None:
        """
        Close connections that would be idle for too long by the next sweep.
        """
        self._timer = None
        since = time.monotonic() - self._idle_seconds * (1 - 1 / _SWEEPS)
        for connection in list(takewhile(lambda idle: idle.idle_since <= since, self._by_age)):
            self._remove_idle(connection)
            connection.abort()
        if self._by_age:
            self._set_timer()

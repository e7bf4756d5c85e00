"""
Open connections, each in a task of its own that a deadline can cancel, in turn with other work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from dispatch_service.egress.clocks import ExchangeClock
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.throttle import HandshakeThrottle
from service_runtime.observability.tasks import start_awaited
from shipedge.webhooks.failures.causes import Cause

OnLost = Callable[[Connection], None]


class Opener(Protocol):
    """
    Open connections: straight to the receivers, or through an egress proxy.
    """

    async def open(
        self, request: OutboundRequest, clock: ExchangeClock, on_lost: OnLost
    ) -> Connection:
        """
        Open a connection for a request; raise `ExchangeFailedError`. May be cancelled.
        """

    def close(self) -> None:
        """
        Release what is held.
        """


class Openings:
    """
    Open connections for a transport, and end those under way when it closes.
    """

    def __init__(self, opener: Opener, pool: ConnectionPool) -> None:
        self._opener = opener
        self._pool = pool
        self._throttle = HandshakeThrottle()
        self._tasks: set[asyncio.Task[Connection]] = set()
        self._closed = False

    async def turn(self, request: OutboundRequest) -> None:
        """
        Wait until a connection may be opened for a request. Before its deadline starts: the wait
        is ours, and no receiver loses time by it.
        """
        # A handshake costs as much as fifty requests: many at once would delay publishers.
        await self._throttle.admit(urgent=request.urgent)

    async def open(self, request: OutboundRequest, clock: ExchangeClock) -> Connection:
        """
        Open a connection before the deadline; raise `ExchangeFailedError`.
        """
        if self._closed:
            raise _closed_error()
        if clock.is_over:
            raise _expired_error(clock)
        task = start_awaited(self._opener.open(request, clock, self._pool.lost), "connection")
        self._tasks.add(task)
        clock.on_expiry = task.cancel
        try:
            connection = await task
        except asyncio.CancelledError:
            task.add_done_callback(_abort_opened)
            # A caller that is cancelled itself has to end. Otherwise the task was cancelled, by
            # the deadline or by `close`, which is a failure of the exchange.
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise _expired_error(clock) if clock.expired else _closed_error() from None
        finally:
            self._tasks.discard(task)
        # Also where the process stood still during the handshake: the receiver would confirm a
        # request whose answer cannot count any more.
        if clock.is_over:
            connection.abort()
            raise _expired_error(clock)
        if not connection.closed:
            self._pool.open.add(connection)
        return connection

    async def close(self) -> None:
        """
        Cancel what is under way, and open nothing any more.
        """
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _abort_opened(task: asyncio.Task[Connection]) -> None:
    """
    Close a connection that was opened just as its caller was cancelled.
    """
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


def _expired_error(clock: ExchangeClock) -> ExchangeFailedError:
    return ExchangeFailedError(clock.phase.value, seconds=clock.limit_seconds)


def _closed_error() -> ExchangeFailedError:
    return ExchangeFailedError(Cause.SENDER_CLOSED)

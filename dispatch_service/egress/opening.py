"""
Open connections, each in a task of its own that a deadline can cancel, a few in each turn of the
event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.clocks import ExchangeClock
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from service_runtime.observability.tasks import start_awaited

PER_TURN = 4
URGENT_PER_TURN = 3
"""
At most so many connections are started in a turn of the loop, and at most so many of them for
urgent requests while other requests wait.
"""

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


class HandshakeThrottle:
    """
    Admit a few callers in each turn of the event loop, in the order in which they come.

    Callers are counted only in the turn in which they are admitted: one that hangs afterwards
    delays nobody.
    """

    def __init__(self) -> None:
        self._left = PER_TURN
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    async def admit(self, *, urgent: bool = False) -> None:
        """
        Wait until the caller is admitted.
        """
        loop = asyncio.get_running_loop()
        self._schedule(loop)
        if self._left and not (self._urgent or self._others):
            self._left -= 1
            return
        waiter = loop.create_future()
        (self._urgent if urgent else self._others).append(waiter)
        await waiter

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next_turn, loop)

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        self._left = PER_TURN
        self._admit_waiting(self._urgent, URGENT_PER_TURN)
        self._admit_waiting(self._others, self._left)
        # What others have not used is for urgent ones too.
        self._admit_waiting(self._urgent, self._left)
        if self._left < PER_TURN:
            self._schedule(loop)

    def _admit_waiting(self, waiting: deque[asyncio.Future[None]], limit: int) -> None:
        while waiting and limit:
            waiter = waiting.popleft()
            # A waiter that was cancelled is done already, and takes nothing from the others.
            if not waiter.done():
                waiter.set_result(None)
                self._left -= 1
                limit -= 1


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

    async def open(self, request: OutboundRequest, clock: ExchangeClock) -> Connection:
        """
        Open a connection before the deadline; raise `ExchangeFailedError`.
        """
        if self._closed:
            raise _closed_error()
        task = start_awaited(self._admitted(request, clock), "connection")
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

    async def _admitted(self, request: OutboundRequest, clock: ExchangeClock) -> Connection:
        # A handshake costs as much as fifty requests: many at once would delay publishers.
        await self._throttle.admit(urgent=request.urgent)
        return await self._opener.open(request, clock, self._pool.lost)


def _abort_opened(task: asyncio.Task[Connection]) -> None:
    """
    Close a connection that was opened just as its caller was cancelled.
    """
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


def _expired_error(clock: ExchangeClock) -> ExchangeFailedError:
    return ExchangeFailedError(FailureKind.TIMEOUT, clock.phase.value)


def _closed_error() -> ExchangeFailedError:
    return ExchangeFailedError(FailureKind.INTERRUPTED, "the sender was closed")

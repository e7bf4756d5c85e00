"""
The guarded way to a customer's endpoint: one deadline over everything, connections kept alive.
"""

import asyncio

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.connection import Connection, Key
from dispatch_service.egress.connector import Opener
from dispatch_service.egress.deadlines import Deadline, Deadlines
from dispatch_service.egress.handshakes import HandshakeThrottle
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import (
    ExchangeFailedError,
    OutboundRequest,
    wire_form,
)
from dispatch_service.egress.timings import Stopwatch
from dispatch_service.egress.writes import WriteCoalescer
from service_runtime.rules.urls import UrlRules

_PRODUCTION = UrlRules()


def _too_late(stopwatch: Stopwatch) -> ExchangeFailedError:
    """
    Tell of a deadline that passed before there was a connection.
    """
    return ExchangeFailedError(FailureKind.TIMEOUT, stopwatch.phase.value)


def _closing() -> ExchangeFailedError:
    """
    Tell of a transport that was closed under a request.
    """
    return ExchangeFailedError(FailureKind.INTERRUPTED, "the sender was closed")


def _abort_opened(task: asyncio.Task[Connection]) -> None:
    """
    Close a connection that was opened just when nobody wanted it any more.
    """
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


class GuardedTransport:
    """
    Exchanges requests for answers and raises nothing but `ExchangeFailedError`.

    Redirects are not followed and the environment's proxies not used. The guard itself lies in
    the opener, which alone opens connections. For one event loop.
    """

    def __init__(
        self, opener: Opener, pool: ConnectionPool | None = None, *, rules: UrlRules = _PRODUCTION
    ) -> None:
        self._opener = opener
        self.rules = rules
        self._opening: set[asyncio.Task[Connection]] = set()
        self._throttle = HandshakeThrottle()
        self._deadlines = Deadlines()
        self._writes = WriteCoalescer()
        self._closed = False
        self.pool = ConnectionPool() if pool is None else pool

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Send a request and read its answer before the deadline; raise `ExchangeFailedError`.

        A kept-alive connection that closes without a single byte of an answer was stale: the
        request goes out once more, on a new one. When the deadline passes after status and headers
        have come, they are the answer.
        """
        stopwatch = Stopwatch(request.deadline_seconds)
        deadline = self._deadlines.begin(request.deadline_seconds)
        try:
            return await self._exchange(request, deadline, stopwatch)
        except ExchangeFailedError as failure:
            failure.timings = stopwatch.timings()
            raise
        finally:
            deadline.cancel()

    async def aclose(self) -> None:
        """
        Close every connection and give up those that are being opened.
        """
        self._closed = True
        opening = tuple(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        self.pool.close()
        self._deadlines.close()
        self._opener.close()

    async def _exchange(
        self, request: OutboundRequest, deadline: Deadline, stopwatch: Stopwatch
    ) -> Response:
        """
        Use a kept-alive connection if there is one, a new one if there is none or it was stale.
        """
        if request.url.scheme != "https" and not self.rules.allow_http:
            raise ExchangeFailedError(FailureKind.INVALID_URL, "the URL must begin with https://")
        wire = wire_form(request)
        identity = request.identity
        key = (request.owner, request.url.endpoint, None if identity is None else identity.id)
        connection = self.pool.take(key)
        if connection is not None:
            try:
                return await self._converse(connection, wire, deadline, stopwatch)
            except ExchangeFailedError:
                if deadline.passed or connection.first_byte_at is not None:
                    raise
        connection = await self._open(request, key, deadline, stopwatch)
        return await self._converse(connection, wire, deadline, stopwatch)

    async def _converse(
        self, connection: Connection, wire: bytes, deadline: Deadline, stopwatch: Stopwatch
    ) -> Response:
        """
        Send and receive on one connection, and put it back if it may be used again.
        """
        deadline.cut = connection.cut_off
        try:
            answered = connection.send(wire)
            self._writes.add(connection)
            await answered
        except BaseException as error:
            connection.abort()
            if isinstance(error, ExchangeFailedError):
                error.remote_address = connection.remote_address
            raise
        answer = Response(
            status_code=connection.status_code,
            headers=tuple(connection.headers),
            body=bytes(connection.body),
            body_truncated=connection.body_truncated,
            timings=stopwatch.timings(connection.first_byte_at),
            remote_address=connection.remote_address,
        )
        self.pool.put(connection)
        return answer

    async def _open(
        self, request: OutboundRequest, key: Key, deadline: Deadline, stopwatch: Stopwatch
    ) -> Connection:
        """
        Open a connection in a task of its own, which the deadline can cancel.
        """
        if self._closed:
            raise _closing()
        task = asyncio.get_running_loop().create_task(self._paced(request, key, stopwatch))
        self._opening.add(task)
        deadline.cut = task.cancel
        try:
            connection = await task
        except asyncio.CancelledError:
            task.add_done_callback(_abort_opened)
            # Cancelled from outside, this has to end; cut by deadline or closing, it has failed.
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise _too_late(stopwatch) if deadline.passed else _closing() from None
        finally:
            self._opening.discard(task)
        if deadline.passed:
            connection.abort()
            raise _too_late(stopwatch)
        self.pool.opened(connection)
        return connection

    async def _paced(self, request: OutboundRequest, key: Key, stopwatch: Stopwatch) -> Connection:
        # A handshake costs as much as fifty requests: many at once would hold publishers up.
        await self._throttle.turn(urgent=request.urgent)
        return await self._opener.open(request, key, stopwatch, self.pool.lost)

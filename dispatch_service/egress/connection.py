"""
One HTTP/1.1 connection to a receiver: one request at a time, with a limit on all that comes back.

Whatever a receiver sends ends in a response or in an `ExchangeFailedError`. A receiver that
exceeds a limit loses the connection.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import cast

from dispatch_service.egress.answers.lenient import MAX_FIRST_BYTES
from dispatch_service.egress.answers.reader import MAX_KEPT_BODY, AnswerReader
from dispatch_service.egress.clocks import ExchangeClock
from dispatch_service.egress.requests import ConnectionKey, ExchangeFailedError
from dispatch_service.egress.tls.causes import tls_failure
from dispatch_service.egress.tls.observed import Handshake
from shipedge.webhooks.failures.causes import Cause

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Connection(AnswerReader, asyncio.Protocol):
    """
    A connection for the requests of one `key`: owner, endpoint and client certificate.

    After `exchange` the attributes hold the response, and `reusable` tells whether another
    request may follow. `on_lost` is called once, when the connection has closed.
    """

    __slots__ = (
        "_clock",
        "_is_written",
        "_loop",
        "_lost_by",
        "_on_lost",
        "_transport",
        "_waiter",
        "_wire",
        "closed",
        "first_byte_at",
        "handshake",
        "idle_since",
        "key",
        "opened_at",
        "remote_address",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        key: ConnectionKey,
        remote_address: str | None,
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.key = key
        self.remote_address = remote_address
        self.closed = False
        self.handshake: Handshake | None = None
        self.idle_since = 0.0
        self.opened_at = time.monotonic()
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._clock: ExchangeClock | None = None
        self._is_written = False
        self._lost_by: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wire: bytes | None = None
        self.first_byte_at: float | None = None
        super().__init__()

    async def exchange(
        self, wire: bytes, clock: ExchangeClock, write_soon: Callable[["Connection"], None]
    ) -> None:
        """
        Send a request and read its response; close and raise `ExchangeFailedError` on failure.
        """
        clock.on_expiry = self.expire
        self._clock = clock
        try:
            responded = self.send(wire)
            write_soon(self)
            await responded
        except BaseException as error:
            self.abort()
            if isinstance(error, ExchangeFailedError):
                error.remote_address = self.remote_address
            raise
        finally:
            self._clock = None

    def send(self, wire: bytes) -> asyncio.Future[None]:
        """
        Take a request, which `write` then writes; return the future of its response.

        A new connection that is closed already says why as it ends.
        """
        waiter = self._waiter = self._loop.create_future()
        if self._transport is not None and not self._transport.is_closing():
            self._wire = wire
        elif self.idle_since:
            self._fail(Cause.CLOSED_UNANSWERED)
        elif self._transport is None:
            self._lose(self._lost_by)
        return waiter

    def write(self, now: float) -> None:
        """
        Write the request, unless at *now*, of the monotonic clock, its deadline has passed.
        """
        wire, self._wire = self._wire, None
        if wire is None or self._transport is None:
            return
        if self._clock is not None and now >= self._clock.deadline_at:
            self._time_out(Cause.TIMEOUT_NOT_SENT)
            return
        try:
            self._transport.write(wire)
            self._is_written = not self._transport.is_closing()
        except Exception:  # noqa: BLE001 - the requests of other connections must still be written
            self._fail(Cause.NOT_WRITTEN)

    def reset_response(self) -> None:
        """
        Drop the last response, and be ready for the next one.
        """
        super().reset_response()
        self.first_byte_at = None
        self._is_written = False
        if self.handshake is not None:
            self.handshake.renegotiations = 0

    def expire(self) -> None:
        """
        End the wait for a response because the deadline has passed.

        The status decides if it is there, however much is missing behind it.
        """
        if self.end():
            self._finish_early()
        elif self.first_byte_at is None:
            self._time_out(Cause.TIMEOUT_FIRST_BYTE)
        else:
            self._time_out(Cause.TIMEOUT_STATUS_LINE)

    def abort(self) -> None:
        """
        Close at once. An orderly close would wait for the peer, which could delay it.
        """
        self.reusable = False
        self._wire = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        End the wait with what had come when the connection closed.
        """
        self.closed = True
        self._lost_by = exc
        # The parser refers back to this object: otherwise only the collector would free the two.
        self._parser = None
        self._transport = None
        if self._waiter is not None:
            self._lose(exc)
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """
        Parse a part of the response. Bytes without a request end the connection.
        """
        if self._parser is None or self._waiter is None:
            self.abort()
            return
        if self._wire is not None:
            self._end_failed(ExchangeFailedError(Cause.SPOKE_FIRST), data[:MAX_FIRST_BYTES])
            return
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
        problem = self.feed(data)
        if self._complete:
            self._finish()
        elif problem is not None:
            self._refuse(problem)
        elif self._clock is not None and self.is_decided:
            self._clock.hurry()

    def _lose(self, exc: Exception | None) -> None:
        """
        End the wait because the connection has closed.
        """
        has_head = bool(self.status_code)
        if self.end(closed=True):
            # Without a length the body ends with the connection (RFC 9112, section 6.3).
            framed = any(name.lower() in _FRAMING for name, _ in self.headers)
            self._finish_early(truncated=framed or not has_head or exc is not None)
        elif (failure := self._tls_failure(exc)) is not None:
            self._end_failed(failure)
        elif self.idle_since and self._is_written and self.first_byte_at is None:
            self._fail(Cause.CONNECTION_LOST)
        else:
            self._fail(self._closed_cause())

    def _closed_cause(self) -> Cause:
        """
        Return why the connection may have been closed: servers that accept everybody in the
        handshake, and look at the certificate then, cannot be told from those that fail.
        """
        handshake = self.handshake
        if handshake is None or not (handshake.asked or handshake.went_on) or not self._is_new:
            return Cause.CLOSED_UNANSWERED
        has_certificate = self.key[2] is not None
        return (
            Cause.CLOSED_BEHIND_CERTIFICATE if has_certificate else Cause.CLOSED_WITHOUT_CERTIFICATE
        )

    @property
    def _is_new(self) -> bool:
        """
        Whether nothing has come from the server behind the handshake.
        """
        return not self.idle_since and self.first_byte_at is None

    def _tls_failure(self, exc: Exception | None) -> ExchangeFailedError | None:
        """
        Return the failure if it was TLS that ended the connection.

        With TLS 1.3 a server judges the client certificate behind the handshake. It may close
        without an alert, or the reset that follows the alert may overtake it.
        """
        asked = self.handshake is not None and self.handshake.asked
        has_certificate = self.key[2] is not None
        is_judged = asked and self._is_new and (exc is not None or not has_certificate)
        if isinstance(exc, ssl.SSLError) or is_judged:
            return tls_failure(exc, asked=asked, has_certificate=has_certificate)
        return None

    def _finish(self) -> None:
        self.body_truncated = self._body_size > MAX_KEPT_BODY
        transport = self._transport
        # A request that is still being written would run into the next one.
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            self.reusable = False
        self._end_wait(None)

    def _finish_early(self, *, truncated: bool = True) -> None:
        """
        End the wait with a response whose body is long enough, or will not come.
        """
        self.body_truncated = truncated
        self._end_wait(None)
        self.abort()

    def _refuse(self, problem: Cause) -> None:
        if self.end():
            self._finish_early()
        else:
            self._fail(problem)

    def _fail(self, cause: Cause) -> None:
        self._end_failed(ExchangeFailedError(cause))

    def _time_out(self, cause: Cause) -> None:
        seconds = None if self._clock is None else self._clock.limit_seconds
        self._end_failed(ExchangeFailedError(cause, seconds=seconds))

    def _end_failed(self, failure: ExchangeFailedError, received: bytes = b"") -> None:
        failure.received = received or self.first_bytes
        self._end_wait(failure)
        self.abort()

    def _end_wait(self, failure: ExchangeFailedError | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(failure)

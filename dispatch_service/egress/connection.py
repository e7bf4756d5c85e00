"""
One HTTP/1.1 connection to a receiver: one request at a time, with a limit on all that comes back.

Whatever a receiver sends ends in a response or in an `ExchangeFailedError`. A receiver that
exceeds a limit loses the connection.
"""

import asyncio
import math
import ssl
import time
from collections.abc import Callable
from typing import cast

import httptools

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.clocks import ExchangeClock
from dispatch_service.egress.requests import ConnectionKey, ExchangeFailedError

MAX_KEPT_BODY = 16 * 1024
MAX_HEADERS = 100
MAX_HEAD_BYTES = 32 * 1024
MAX_INFORMATIONAL = 10

# Past the kept body a receiver may send as much again in framing, which chunk extensions inflate.
MAX_RECEIVED = MAX_HEAD_BYTES + 2 * MAX_KEPT_BODY

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_INFORMATIONAL = range(100, 200)


class Connection(asyncio.Protocol):
    """
    A connection for the requests of one `key`: owner, endpoint and client certificate.

    After `exchange` the attributes hold the response, and `reusable` tells whether another
    request may follow. `on_lost` is called once, when the connection has closed.
    """

    __slots__ = (
        "_body_size",
        "_complete",
        "_deadline_at",
        "_head_size",
        "_informational",
        "_loop",
        "_on_lost",
        "_parser",
        "_received",
        "_transport",
        "_waiter",
        "_wire",
        "body",
        "body_truncated",
        "closed",
        "first_byte_at",
        "headers",
        "idle_since",
        "key",
        "opened_at",
        "remote_address",
        "reusable",
        "status_code",
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
        self.idle_since = 0.0
        self.opened_at = time.monotonic()
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wire: bytes | None = None
        self._deadline_at = math.inf
        self.reset_response()

    async def exchange(
        self, wire: bytes, clock: ExchangeClock, write_soon: Callable[["Connection"], None]
    ) -> None:
        """
        Send a request and read its response; close and raise `ExchangeFailedError` on failure.
        """
        clock.on_expiry = self.expire
        self._deadline_at = clock.deadline_at
        try:
            responded = self.send(wire)
            write_soon(self)
            await responded
        except BaseException as error:
            self.abort()
            if isinstance(error, ExchangeFailedError):
                error.remote_address = self.remote_address
            raise

    def send(self, wire: bytes) -> asyncio.Future[None]:
        """
        Take a request, which `write` then writes; return the future of its response.
        """
        waiter = self._waiter = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            self._fail(FailureKind.PROTOCOL, "the connection was closed before the request")
        else:
            self._wire = wire
        return waiter

    def write(self, now: float) -> None:
        """
        Write the request, unless at *now*, of the monotonic clock, its deadline has passed.
        """
        wire, self._wire = self._wire, None
        if wire is None or self._transport is None:
            return
        if now >= self._deadline_at:
            self._fail(FailureKind.TIMEOUT, "the deadline passed before the request was sent")
            return
        try:
            self._transport.write(wire)
        except Exception:  # noqa: BLE001 - the requests of other connections must still be written
            self._fail(FailureKind.PROTOCOL, "the request could not be written")

    def reset_response(self) -> None:
        """
        Drop the last response, and be ready for the next one.
        """
        self.status_code = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.body_truncated = False
        self.reusable = False
        self.first_byte_at: float | None = None
        self._complete = False
        self._head_size = 0
        self._body_size = 0
        self._informational = 0
        self._received = 0

    def expire(self) -> None:
        """
        End the wait for a response because the deadline has passed.

        Status and headers decide if they are there, however much of the body is missing.
        """
        if self.status_code:
            self._finish_early()
        else:
            self._fail(FailureKind.TIMEOUT, "the deadline passed before an answer came")

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
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """
        End the wait with what had come when the connection closed.
        """
        self.closed = True
        # The parser refers back to this object: otherwise only the collector would free the two.
        self._parser = None
        self._transport = None
        if self.status_code and not self._complete:
            # Without a length the body ends with the connection (RFC 9112, section 6.3).
            framed = any(name.lower() in _FRAMING for name, _ in self.headers)
            self._finish_early(truncated=framed or exc is not None)
        elif isinstance(exc, ssl.SSLError):
            self._fail(FailureKind.TLS, "the server ended the TLS connection with an error")
        else:
            self._fail(FailureKind.PROTOCOL, "the connection was closed before an answer came")
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """
        Parse a part of the response. Bytes without a request end the connection.
        """
        parser = self._parser
        if parser is None or self._waiter is None:
            self.abort()
            return
        if self._wire is not None:
            self._fail(FailureKind.PROTOCOL, "the receiver spoke before it was asked")
            return
        if not self._received:
            self.first_byte_at = time.monotonic()
        self._received += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse("the answer is not valid HTTP")
            return
        if self._complete:
            self._finish()
        elif self._body_size > MAX_KEPT_BODY or self._received > MAX_RECEIVED:
            self._refuse("the answer's headers are too long")
        elif self._informational > MAX_INFORMATIONAL:
            self._refuse("too many interim answers")

    # The parser calls the methods below, from inside of `feed_data`.

    def on_message_begin(self) -> None:
        """
        Keep the connection from further use if a second response follows the first.
        """
        if self._complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Keep a header, up to the limits.
        """
        if self.status_code:
            return
        self._head_size += len(name) + len(value)
        if self._head_size <= MAX_HEAD_BYTES and len(self.headers) < MAX_HEADERS:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """
        Take the status of the final response; count an interim response and drop its headers.
        """
        if self._parser is None or self.status_code:
            return
        status_code = self._parser.get_status_code()
        if status_code in _INFORMATIONAL:
            self._informational += 1
            self.headers.clear()
        else:
            self.status_code = status_code

    def on_body(self, body: bytes) -> None:
        """
        Keep the beginning of the body, as it came: nothing is ever decompressed.
        """
        if self._complete:
            return
        room = MAX_KEPT_BODY - self._body_size
        if room > 0:
            self.body += body[:room]
        self._body_size += len(body)

    def on_message_complete(self) -> None:
        """
        Take the end of the final response, and whether the receiver accepts another request.
        """
        if self._parser is not None and self.status_code and not self._complete:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()

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

    def _refuse(self, error: str) -> None:
        if self.status_code:
            self._finish_early()
        else:
            self._fail(FailureKind.PROTOCOL, error)

    def _fail(self, kind: FailureKind, error: str) -> None:
        self._end_wait(ExchangeFailedError(kind, error))
        self.abort()

    def _end_wait(self, failure: ExchangeFailedError | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(failure)

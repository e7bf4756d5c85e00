"""
One HTTP/1.1 connection to a customer's endpoint: a request at a time, everything capped.

A receiver is a stranger. Whatever it sends ends in an answer or in an `ExchangeFailedError`; what
goes past a cap ends the connection.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import cast

import httptools

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import ExchangeFailedError

MAX_KEPT_BODY = 16 * 1024
MAX_HEADERS = 100
MAX_HEAD_BYTES = 32 * 1024
MAX_INFORMATIONAL = 10

# Past the kept body a receiver may send as much again in framing, which chunk extensions inflate.
MAX_RECEIVED = MAX_HEAD_BYTES + 2 * MAX_KEPT_BODY

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_INFORMATIONAL = range(100, 200)

Key = tuple[str, str, str | None]


class Connection(asyncio.Protocol):
    """
    A connection of one owner to one endpoint with one client certificate, which make its `key`.

    After `send`, await the future; then read the answer off the attributes. `reusable` tells
    whether another request may follow. `lost` is called once, when the connection has closed.
    """

    __slots__ = (
        "_body_size",
        "_complete",
        "_head_size",
        "_informational",
        "_loop",
        "_lost",
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
        key: Key,
        remote_address: str | None,
        lost: Callable[["Connection"], None],
    ) -> None:
        self.key = key
        self.remote_address = remote_address
        self.closed = False
        self.idle_since = 0.0
        self.opened_at = time.monotonic()
        self._loop = loop
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wire: bytes | None = None
        self.forget_answer()

    def send(self, wire: bytes) -> asyncio.Future[None]:
        """
        Take a request, in one piece, that `write` then writes; the future is done when its
        answer is there, or has failed.
        """
        waiter = self._waiter = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            self._fail(FailureKind.PROTOCOL, "the connection was closed before the request")
        else:
            self._wire = wire
        return waiter

    def write(self) -> None:
        """
        Write the request, unless the connection was closed meanwhile.
        """
        wire, self._wire = self._wire, None
        if wire is None or self._transport is None:
            return
        try:
            self._transport.write(wire)
        except Exception:  # noqa: BLE001 - one connection must not keep the others' requests
            self._fail(FailureKind.PROTOCOL, "the request could not be written")

    def forget_answer(self) -> None:
        """
        Make ready for the next request, holding nothing of the last answer.
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

    def cut_off(self) -> None:
        """
        End the wait for an answer because the deadline has passed.

        Once status and headers are there they decide, however much of the body is missing.
        """
        if self.status_code:
            self._finish_early()
        else:
            self._fail(FailureKind.TIMEOUT, "the deadline passed before an answer came")

    def abort(self) -> None:
        """
        Close at once. Nothing is flushed and no farewell awaited: the peer could hold it up.
        """
        self.reusable = False
        self._wire = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Begin, once the TLS handshake is done.
        """
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Judge what had come when the connection closed.
        """
        self.closed = True
        # The parser refers back to this object: without the cut only the collector frees the two.
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
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """
        Read what came. Bytes that nobody asked for end the connection.
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
            self._break_off("the answer is not valid HTTP")
            return
        if self._complete:
            self._finish()
        elif self._body_size > MAX_KEPT_BODY or self._received > MAX_RECEIVED:
            self._break_off("the answer's headers are too long")
        elif self._informational > MAX_INFORMATIONAL:
            self._break_off("too many interim answers")

    # What follows is called by the parser, from inside of `feed_data`.

    def on_message_begin(self) -> None:
        """
        Note that a second answer follows the one asked for.
        """
        if self._complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Keep a header, as long as there are not too many of them.
        """
        if self.status_code:
            return
        self._head_size += len(name) + len(value)
        if self._head_size <= MAX_HEAD_BYTES and len(self.headers) < MAX_HEADERS:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """
        Tell an interim answer, whose headers nobody needs, from the final one.
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
        Note the end of the final answer, and whether the receiver would take another request.
        """
        if self._parser is not None and self.status_code and not self._complete:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()

    def _finish(self) -> None:
        """
        Hand over a complete answer.

        A request that is still being written when its answer is complete would run into the next.
        """
        self.body_truncated = self._body_size > MAX_KEPT_BODY
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            self.reusable = False
        self._settle(None)

    def _finish_early(self, *, truncated: bool = True) -> None:
        """
        Hand over an answer whose body is not wanted any further, or will not come.
        """
        self.body_truncated = truncated
        self._settle(None)
        self.abort()

    def _break_off(self, error: str) -> None:
        """
        End the connection: with the answer if its status is known, as a failure otherwise.
        """
        if self.status_code:
            self._finish_early()
        else:
            self._fail(FailureKind.PROTOCOL, error)

    def _fail(self, kind: FailureKind, error: str) -> None:
        """
        End the connection without an answer.
        """
        self._settle(ExchangeFailedError(kind, error))
        self.abort()

    def _settle(self, failure: ExchangeFailedError | None) -> None:
        """
        Wake whoever waits for the answer, if anybody still does.
        """
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(failure)

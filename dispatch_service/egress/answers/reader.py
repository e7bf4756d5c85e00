"""
The answer to one request, read in parts, with limits on all that is kept.
"""

from __future__ import annotations

import httptools

from dispatch_service.egress.answers.lenient import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INFORMATIONAL,
    LenientHead,
    UnreadableAnswerError,
    sound_head,
)
from shipedge.webhooks.failures.causes import Cause

MAX_KEPT_BODY = 16 * 1024

# Past the kept body a receiver may send as much again in framing, which chunk extensions inflate.
MAX_RECEIVED = MAX_HEAD_BYTES + 2 * MAX_KEPT_BODY

_INFORMATIONAL = range(100, 200)


class AnswerReader:
    """
    Reads answers one after the other: call `reset_response` between them.

    A sound answer is read by the fast parser alone. What it refuses, or has not read to the end of
    the head at once, is read by the lenient one as well; `reusable` stays False if that one had to
    decide.
    """

    __slots__ = (
        "_body_size",
        "_complete",
        "_head",
        "_head_size",
        "_informational",
        "_is_lenient",
        "_parser",
        "_received",
        "body",
        "body_truncated",
        "headers",
        "reusable",
        "status_code",
    )

    def __init__(self) -> None:
        self._parser: httptools.HttpResponseParser | None = None
        self.reset_response()

    def reset_response(self) -> None:
        """
        Drop the last response, and be ready for the next one.
        """
        self.status_code = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.body_truncated = False
        self.reusable = False
        self._head: LenientHead | None = None
        self._is_lenient = False
        self._complete = False
        self._head_size = 0
        self._body_size = 0
        self._informational = 0
        self._received = 0

    def begin(self) -> None:
        """
        Be ready for the first answer of a connection.
        """
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> Cause | None:
        """
        Read a part of the answer. Return the problem that ends it, or None.
        """
        # The fast parser would take an answer in RTSP, too.
        if not self._received and data[:1] != b"H":
            self._is_lenient = True
        self._received += len(data)
        if self._is_lenient and not self.status_code:
            return self._feed_head(data)
        return self._parse(data)

    def _parse(self, data: bytes) -> Cause | None:
        """
        Have the fast parser read a part, and the lenient one if that has no final head yet.
        """
        if self._parser is None:
            return Cause.NOT_HTTP
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return self._feed_head(data) or Cause.SWITCHED_PROTOCOL
        except httptools.HttpParserError:
            self.reusable = False
            if self.status_code:
                return None if self._complete else Cause.NOT_HTTP
            self._is_lenient = True
        if not self.status_code:
            return self._feed_head(data)
        if self._complete:
            return None
        beyond = self._body_size > MAX_KEPT_BODY or self._received > MAX_RECEIVED
        return Cause.HEADERS_TOO_LONG if beyond else None

    @property
    def is_decided(self) -> bool:
        """
        Whether the outcome is known, because the final status line has come.
        """
        head = self._head
        return bool(self.status_code) or (head is not None and bool(head.status_code))

    @property
    def first_bytes(self) -> bytes:
        """
        Return the first bytes of an answer whose head is not whole.
        """
        return b"" if self._head is None else bytes(self._head.first_bytes)

    def end(self, *, closed: bool = False) -> bool:
        """
        Take the status line if only the rest of the head is missing. Return whether there is one.

        *closed* says that the receiver has ended the connection, and so the line.
        """
        head = self._head
        if head is not None and not self.status_code:
            try:
                if closed:
                    head.end()
            except UnreadableAnswerError:
                return False
            self.status_code, self.headers = head.status_code, head.headers
        return bool(self.status_code)

    def _feed_head(self, data: bytes) -> Cause | None:
        """
        Read a part of the head leniently; go on with the body if the fast parser cannot.
        """
        head = self._head
        if head is None:
            head = self._head = LenientHead()
        try:
            rest = head.feed(data)
        except UnreadableAnswerError as problem:
            return problem.cause
        if self._informational > MAX_INFORMATIONAL:
            return Cause.TOO_MANY_INTERIM
        if rest is not None:
            return self._feed_body(head, rest)
        return Cause.HEADERS_TOO_LONG if self._received > MAX_RECEIVED else None

    def _feed_body(self, head: LenientHead, rest: bytes) -> Cause | None:
        """
        Have the fast parser read the body of an answer, behind a head that it can read.
        """
        self._is_lenient = True
        self.status_code, self.headers = head.status_code, head.headers
        self._parser = httptools.HttpResponseParser(self)
        return self._parse(sound_head(head.status_code, self.headers) + rest)

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
            self.reusable = self._parser.should_keep_alive() and not self._is_lenient

"""
A request to a customer's endpoint, as a value and as bytes, and its failure. No I/O.
"""

import re
from dataclasses import dataclass, field

from dispatch_service.outcomes import NO_TIMINGS, FailureKind, Timings
from shipedge.webhooks.rules.urls import Url

DEADLINE_SECONDS = 10.0

_HEAD = re.compile(
    rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1\r\n"
    rb"Host: [\x21-\x7e]+\r\n"
    rb"Content-Length: [0-9]+\r\n"
    rb"(?:(?!(?i:host|content-length|transfer-encoding|connection|upgrade|expect|te|trailer):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e]*\r\n)*"
    rb"\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """
    A client certificate with its chain, and its unencrypted key, both as PEM.

    `id` must change whenever the certificate does: connections and TLS contexts are kept by it.
    """

    id: str
    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """
    A request that is ready to leave. `Host` and the framing headers are set by the transport.

    `deadline_seconds` bounds the whole attempt, from the name's resolution to the body's end.
    """

    owner: str
    url: Url
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    method: str = "POST"
    identity: ClientIdentity | None = None
    deadline_seconds: float = DEADLINE_SECONDS


class ExchangeFailedError(Exception):
    """
    A request brought no answer. The only exception that a transport raises.

    `error` is fit for customers; `detail` is for the operator's log and may name addresses.
    """

    def __init__(self, kind: FailureKind, error: str, detail: str = "") -> None:
        super().__init__(kind, error, detail)
        self.kind = kind
        self.error = error
        self.detail = detail
        self.timings: Timings = NO_TIMINGS
        self.remote_address: str | None = None


def wire_form(request: OutboundRequest) -> bytes:
    """
    Write a request as the bytes that go on the wire, in one piece.

    Raise `ExchangeFailedError` of kind internal where a header could be read as two, or sets what
    frames the message. The rules on URLs and headers leave no such request; this is the second
    lock on that door.
    """
    url = request.url
    lines = b"".join([b"%b: %b\r\n" % pair for pair in request.headers])
    start = f"{request.method} {url.target} HTTP/1.1\r\nHost: {url.authority}\r\n".encode()
    head = b"%bContent-Length: %d\r\n%b\r\n" % (start, len(request.body), lines)
    # The count tells a header that smuggles in a well-formed line of its own.
    if head.count(b"\r\n") != len(request.headers) + 4 or not _HEAD.fullmatch(head):
        raise ExchangeFailedError(FailureKind.INTERNAL, "the request cannot be written")
    return head + request.body

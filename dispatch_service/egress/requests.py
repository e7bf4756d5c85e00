"""
A request to a customer's endpoint, as a value and as bytes, and its failure. No I/O.
"""

import re
from functools import lru_cache

from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.credentials import ClientIdentity
from dispatch_service.domain.outcomes import NO_TIMINGS, FailureKind, Timings
from service_runtime.rules.urls import Url

DEADLINE_SECONDS = 10.0

_START = re.compile(r"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1\r\nHost: [\x21-\x7e]+\r\n")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FRAMING = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"upgrade",
        b"expect",
        b"te",
        b"trailer",
    }
)
_TEXT = bytes([0x09, *range(0x20, 0x7F)])


class OutboundRequest(Confidential, frozen=True, kw_only=True, gc=False):
    """
    A request that is ready to leave. `Host` and the framing headers are set by the transport.

    `deadline_seconds` bounds the whole attempt, from the name's resolution to the body's end.
    One that is `urgent` goes before others where connections have to wait for each other.
    """

    owner: str
    url: Url
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    method: str = "POST"
    identity: ClientIdentity | None = None
    urgent: bool = False
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
    url, headers = request.url, request.headers
    start = _start(request.method, url.target, url.authority)
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    head = b"%bContent-Length: %d\r\n%b\r\n" % (start, len(request.body), lines)
    ends = len(headers) + 4
    # What is no text must be the ends of the lines, and of those as many as were written.
    whole = head.count(b"\r\n") == ends and len(head.translate(None, _TEXT)) == 2 * ends
    if not (whole and start and _may_be_set(tuple([name for name, _ in headers]))):
        raise ExchangeFailedError(FailureKind.INTERNAL, "the request cannot be written")
    return head + request.body


@lru_cache(maxsize=4096)
def _start(method: str, target: str, authority: str) -> bytes:
    """
    Write the first two lines; nothing where they could be read as others.
    """
    start = f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n"
    return start.encode() if _START.fullmatch(start) else b""


@lru_cache(maxsize=4096)
def _may_be_set(names: tuple[bytes, ...]) -> bool:
    """
    Judge the names of headers, which are the same for all requests to an endpoint.
    """
    return all(_NAME.fullmatch(it) and it.lower() not in _FRAMING for it in names)

"""
A request to a receiver, as a value and as bytes, and the error of an exchange. No I/O.
"""

import re
from functools import lru_cache
from typing import Protocol

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.outcomes import NO_TIMINGS, FailureKind, Response, Timings
from service_runtime.rules.urls import Url
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.rows import FailureCause

DEADLINE_SECONDS = 10.0

ConnectionKey = tuple[str, str, str | None]
"""
Owner, endpoint and id of the client certificate. Only requests with the same key share a
connection.
"""

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
    A request that is ready to be sent. The transport sets `Host` and the framing headers.

    `deadline_seconds` bounds the whole exchange, from the lookup of the host to the end of the
    body. An `urgent` request goes first when connections have to wait for each other. A `fresh`
    one goes out on a connection of its own. The rest of a response whose status has come is waited
    for briefly, unless the caller `needs_body`.
    """

    owner: str
    url: Url
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    method: str = "POST"
    identity: ClientIdentity | None = None
    urgent: bool = False
    fresh: bool = False
    needs_body: bool = False
    deadline_seconds: float = DEADLINE_SECONDS

    @property
    def connection_key(self) -> ConnectionKey:
        """
        Return the key of the connections that may carry this request.
        """
        identity = self.identity
        return (self.owner, self.url.endpoint, None if identity is None else identity.id)


class ExchangeFailedError(Exception):
    """
    An exchange ended without a response. The only exception that a transport raises.

    Customers may read `error`, `happened`, which is its first half, and `shown_kind`; `kind` and
    `detail` are for the operator's log, and `detail` may name addresses. `received` is the
    beginning of what came instead of an answer.

    *why* makes the text of the cause more exact, *seconds* is the length of a timeout. *kind* is
    given where it is not to be shown.
    """

    def __init__(
        self,
        cause: FailureCause,
        detail: str = "",
        *,
        why: str = "",
        seconds: float | None = None,
        kind: FailureKind | None = None,
    ) -> None:
        super().__init__(cause, detail, why)
        self.cause = cause
        self.kind = kind or FailureKind(cause.row.kind.lower())
        self.happened = cause.happened(why, seconds=seconds)
        self.error = cause.text(why, seconds=seconds)
        self.detail = detail
        self.timings: Timings = NO_TIMINGS
        self.remote_address: str | None = None
        self.received = b""

    @property
    def shown_kind(self) -> FailureKind:
        """
        What customers learn: not whether a name has an internal address or none, else they could
        find out which internal names there are.
        """
        return FailureKind.DNS if self.kind is FailureKind.BLOCKED_ADDRESS else self.kind


class Transport(Protocol):
    """
    Send requests and read their responses, as the guarded transport does.
    """

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Send a request and read its response; raise `ExchangeFailedError`.
        """


def wire_form(request: OutboundRequest, *, allow_http: bool = False) -> bytes:
    """
    Return the bytes of a request, in one piece.

    Raise `ExchangeFailedError`: of kind invalid_url for plain HTTP without *allow_http*, of kind
    internal if a header could be read as two, or is one of those that frame the message. The
    rules on URLs and headers refuse such requests earlier; these checks are a second defence.
    """
    url, headers = request.url, request.headers
    if url.scheme != "https" and not allow_http:
        raise ExchangeFailedError(Cause.HTTPS_REQUIRED)
    start = _start(request.method, url.target, url.authority)
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    head = b"%bContent-Length: %d\r\n%b\r\n" % (start, len(request.body), lines)
    ends = len(headers) + 4
    # All bytes that are not text must be line ends, and as many as were written here.
    whole = head.count(b"\r\n") == ends and len(head.translate(None, _TEXT)) == 2 * ends
    if not (whole and start and _may_be_set(tuple([name for name, _ in headers]))):
        raise ExchangeFailedError(Cause.UNSENDABLE)
    return head + request.body


@lru_cache(maxsize=4096)
def _start(method: str, target: str, authority: str) -> bytes:
    """
    Return the first two lines; nothing if they could be read as other lines.
    """
    start = f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n"
    return start.encode() if _START.fullmatch(start) else b""


@lru_cache(maxsize=4096)
def _may_be_set(names: tuple[bytes, ...]) -> bool:
    """
    Tell whether a request may set headers of these names.

    The names are the same for all requests of a subscription, so the result is cached.
    """
    return all(_NAME.fullmatch(name) and name.lower() not in _FRAMING for name in names)

"""
The outcome of an attempt, as a value. No I/O, no clock.

Outcomes are shown to customers: they never name an internal address, a secret or an exception.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

from shipedge.webhooks.events.v1 import failure_kind_pb2
from shipedge.webhooks.failures.words import status_text

MAX_RETRY_AFTER = timedelta(hours=24)
MAX_KEPT_HEADERS = 50
MAX_KEPT_VALUE = 1024
MAX_KEPT_BYTES = 8 * 1024

_HONOURED_RETRY_AFTER = frozenset({429, 503})
_SECONDS = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class FailureKind(StrEnum):
    """
    The reason why an attempt or a delivery failed.
    """

    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    CERTIFICATE = "certificate"
    INVALID_URL = "invalid_url"
    BLOCKED_ADDRESS = "blocked_address"
    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    AUTH = "auth"
    PROTOCOL = "protocol"
    PROXY = "proxy"
    INTERRUPTED = "interrupted"
    SUBSCRIPTION_INACTIVE = "subscription_inactive"
    SUBSCRIPTION_DELETED = "subscription_deleted"
    RENDER = "render"
    BODY_ERASED = "body_erased"
    BODY_DAMAGED = "body_damaged"
    POISON = "poison"
    EXPIRED = "expired"
    INTERNAL = "internal"
    MISSING = "missing"
    CONNECTION_LOST = "connection_lost"
    STALE_TOKEN = "stale_token"  # noqa: S105 - the name of a kind


_EARLIER_KINDS = {"inactive": FailureKind.SUBSCRIPTION_INACTIVE.value}


def failure_kind_value(kind: str | None) -> failure_kind_pb2.FailureKind.ValueType:
    """
    Convert a stored kind of failure to that of the contract; none, and one that a later release
    has stored, is unspecified.
    """
    name = _EARLIER_KINDS.get(kind or "unspecified", kind or "unspecified")
    try:
        return failure_kind_pb2.FailureKind.Value(f"FAILURE_KIND_{name.upper()}")
    except ValueError:
        return failure_kind_pb2.FAILURE_KIND_UNSPECIFIED


class Timings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    The durations of the steps of an attempt, in microseconds; None for a step that was not made.

    `first_byte_us` and `total_us` count from the beginning of the attempt, the others from the
    beginning of their step. A request on a kept-alive connection has only those two.
    """

    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    first_byte_us: int | None = None
    total_us: int | None = None


NO_TIMINGS = Timings()


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    The response of a receiver: its status, and the headers and the part of the body that are kept.

    `body_truncated` says that the body was longer, broke off, or had not ended by the deadline.
    """

    status_code: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    body_truncated: bool = False
    timings: Timings = NO_TIMINGS
    remote_address: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    The outcome of one attempt. Only the functions below make one.
    """

    succeeded: bool
    status_code: int | None = None
    failure_kind: FailureKind | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    body_truncated: bool = False
    timings: Timings = NO_TIMINGS
    remote_address: str | None = None


def from_response(response: Response, clock: Callable[[], datetime]) -> Outcome:
    """
    Return the outcome of a response: every 2xx is a success, everything else a failure.

    Redirects are not followed. `Retry-After` counts only with 429 and 503; a date in it is
    compared with the time of *clock*.
    """
    headers = kept_headers(response.headers)
    kind, error = _failure(response.status_code)
    honoured = response.status_code in _HONOURED_RETRY_AFTER
    return Outcome(
        succeeded=kind is None,
        status_code=response.status_code,
        failure_kind=kind,
        error=error,
        retry_after=_retry_after(headers, clock()) if honoured else None,
        response_headers=headers,
        response_body=response.body,
        body_truncated=response.body_truncated,
        timings=response.timings,
        remote_address=response.remote_address,
    )


def failed(
    kind: FailureKind,
    error: str,
    timings: Timings = NO_TIMINGS,
    *,
    received: bytes = b"",
    remote_address: str | None = None,
) -> Outcome:
    """
    Return the outcome of an attempt without a response; *error* is a short text for customers.

    *received* is the beginning of what came in the place of one; it is shown as the body.
    """
    return Outcome(
        succeeded=False,
        failure_kind=kind,
        error=error,
        response_body=received,
        timings=timings,
        remote_address=remote_address,
    )


def kept_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """
    Return a receiver's headers as printable text, at most 50 headers and 8 KiB in all.

    A longer value is cut to 1 KiB; headers that do not fit are left out.
    """
    kept: list[tuple[str, str]] = []
    left = MAX_KEPT_BYTES
    for name, value in headers:
        left -= len(name) + min(len(value), MAX_KEPT_VALUE)
        if left < 0 or len(kept) == MAX_KEPT_HEADERS:
            break
        kept.append((_printable(name), _printable(value[:MAX_KEPT_VALUE])))
    return tuple(kept)


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """
    Parse a `Retry-After`: seconds or an HTTP date; None if it is neither or lies in the past.

    Longer than 24 hours becomes 24 hours.
    """
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=int(text)), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
        # A date without a zone, or with the zone -0000, is in UTC (RFC 9110, section 5.6.7).
        delay = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(delay, MAX_RETRY_AFTER) if delay > timedelta(0) else None


def _failure(status_code: int) -> tuple[FailureKind | None, str | None]:
    """
    Return the kind and the error text of a status; nothing for 2xx.
    """
    match status_code // 100:
        case 2:
            return None, None
        case 3:
            return FailureKind.REDIRECT, status_text(status_code)
        case _:
            return FailureKind.HTTP_STATUS, status_text(status_code)


def _retry_after(headers: tuple[tuple[str, str], ...], now: datetime) -> timedelta | None:
    text = next((value for name, value in headers if name.lower() == "retry-after"), None)
    return None if text is None else parse_retry_after(text.strip(), now)


def _printable(raw: bytes) -> str:
    """
    Decode any bytes, with a placeholder for control characters that databases refuse.
    """
    text = raw.decode("latin-1")
    return text if text.isprintable() else _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)

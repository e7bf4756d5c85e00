"""
What an attempt came to, as a value. No I/O, no clock.

Nothing here names an internal address, a secret or an exception: an outcome is shown to customers.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

MAX_RETRY_AFTER = timedelta(hours=24)
MAX_KEPT_HEADERS = 50
MAX_KEPT_VALUE = 1024
MAX_KEPT_BYTES = 8 * 1024

_HONOURED_RETRY_AFTER = frozenset({429, 503})
_SECONDS = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class FailureKind(StrEnum):
    """
    Why an attempt or a delivery failed.
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
    INACTIVE = "inactive"
    RENDER = "render"
    POISON = "poison"
    EXPIRED = "expired"
    INTERNAL = "internal"


class Timings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    How long the steps of an attempt took, in microseconds; None for a step that did not happen.

    `first_byte_us` and `total_us` count from the beginning of the attempt, the others from the
    beginning of their step. A request on a kept-alive connection has no first three.
    """

    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    first_byte_us: int | None = None
    total_us: int | None = None


NO_TIMINGS = Timings()


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What a receiver answered, unjudged: its status, and as much else as came and was wanted.

    `body_truncated` tells that the body went on, was cut off, or had not ended by the deadline.
    """

    status_code: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    body_truncated: bool = False
    timings: Timings = NO_TIMINGS
    remote_address: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What one attempt came to. Built only by the functions below.
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


def from_response(answer: Response, clock: Callable[[], datetime]) -> Outcome:
    """
    Judge an answer: every 2xx is success, a redirect is not followed, all else has failed.

    `Retry-After` counts only on 429 and 503, relative to what *clock* says where it is a date.
    """
    headers = kept_headers(answer.headers)
    kind, error = _failure(answer.status_code)
    asked = answer.status_code in _HONOURED_RETRY_AFTER
    return Outcome(
        succeeded=kind is None,
        status_code=answer.status_code,
        failure_kind=kind,
        error=error,
        retry_after=_retry_after(headers, clock()) if asked else None,
        response_headers=headers,
        response_body=answer.body,
        body_truncated=answer.body_truncated,
        timings=answer.timings,
        remote_address=answer.remote_address,
    )


def failed(
    kind: FailureKind,
    error: str,
    timings: Timings = NO_TIMINGS,
    *,
    remote_address: str | None = None,
) -> Outcome:
    """
    Tell of an attempt that brought no answer; *error* is a short text fit for customers.
    """
    return Outcome(
        succeeded=False,
        failure_kind=kind,
        error=error,
        timings=timings,
        remote_address=remote_address,
    )


def kept_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """
    Read a receiver's headers into printable text, at most 50 of them and 8 KiB in all.

    A longer value is cut to 1 KiB; what does not fit any more is left out.
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
    Read a `Retry-After`, in seconds or as an HTTP date; None if it is neither or lies in the past.

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
    Name the failure that a status stands for; nothing for 2xx.
    """
    match status_code // 100:
        case 2:
            return None, None
        case 3:
            return FailureKind.REDIRECT, f"HTTP {status_code}: redirects are not followed"
        case _:
            return FailureKind.HTTP_STATUS, f"HTTP {status_code}"


def _retry_after(headers: tuple[tuple[str, str], ...], now: datetime) -> timedelta | None:
    """
    Find the first `Retry-After`.
    """
    text = next((value for name, value in headers if name.lower() == "retry-after"), None)
    return None if text is None else parse_retry_after(text.strip(), now)


def _printable(raw: bytes) -> str:
    """
    Decode bytes of any kind, with a placeholder for control characters that no database takes.
    """
    text = raw.decode("latin-1")
    return text if text.isprintable() else _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)

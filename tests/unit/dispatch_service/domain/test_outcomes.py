"""
What an attempt came to.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.outcomes import (
    MAX_KEPT_BYTES,
    MAX_KEPT_HEADERS,
    MAX_KEPT_VALUE,
    FailureKind,
    Response,
    Timings,
    failed,
    failure_kind_value,
    from_response,
    kept_headers,
    parse_retry_after,
)
from shipedge.webhooks.events.v1.failure_kind_pb2 import FailureKind as FailureKindValue

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, "UNSPECIFIED"),
        ("", "UNSPECIFIED"),
        ("inactive", "SUBSCRIPTION_INACTIVE"),
        ("of a later release", "UNSPECIFIED"),
        *[(kind.value, kind.name) for kind in FailureKind],
    ],
)
def test_kinds_of_failures_are_those_of_the_contract(stored: str | None, shown: str) -> None:
    """
    Each kind is shown by its name, also one that an earlier release has stored.
    """
    assert FailureKindValue.Name(failure_kind_value(stored)) == f"FAILURE_KIND_{shown}"


@pytest.mark.parametrize("status_code", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(status_code: int) -> None:
    """
    Any 2xx confirms the delivery; anything else would only create duplicates.
    """
    outcome = from_response(Response(status_code=status_code), lambda: NOW)

    assert outcome.succeeded
    assert (outcome.failure_kind, outcome.error) == (None, None)


@pytest.mark.parametrize(
    ("status_code", "kind", "error"),
    [
        (
            301,
            FailureKind.REDIRECT,
            "HTTP 301: the server has moved for good, and redirects are not followed",
        ),
        (307, FailureKind.REDIRECT, "HTTP 307: the server redirects to another address"),
        (400, FailureKind.HTTP_STATUS, "HTTP 400: the server does not accept the request"),
        (410, FailureKind.HTTP_STATUS, "HTTP 410: the server says that this address is gone"),
        (503, FailureKind.HTTP_STATUS, "HTTP 503: the server is overloaded"),
        (999, FailureKind.HTTP_STATUS, "HTTP 999: the status is none of HTTP"),
        (42, FailureKind.HTTP_STATUS, "HTTP 42: the status is none of HTTP"),
    ],
)
def test_other_answers_have_failed(status_code: int, kind: FailureKind, error: str) -> None:
    """
    A redirect is a failure of its own kind, every other status one of kind http_status.
    """
    outcome = from_response(Response(status_code=status_code), lambda: NOW)

    assert not outcome.succeeded
    assert outcome.failure_kind == kind
    assert (outcome.error or "").startswith(error)


def test_what_was_answered_is_kept() -> None:
    """
    Headers, body, times and address of the answer are in the outcome.
    """
    timings = Timings(total_us=5)
    answer = Response(
        status_code=500,
        headers=((b"X-A", b"\xe9\x00"),),
        body=b"oops",
        body_truncated=True,
        timings=timings,
        remote_address="8.8.8.8",
    )

    outcome = from_response(answer, lambda: NOW)

    assert outcome.response_headers == (("X-A", "é\N{REPLACEMENT CHARACTER}"),)
    assert (outcome.response_body, outcome.body_truncated) == (b"oops", True)
    assert (outcome.timings, outcome.remote_address) == (timings, "8.8.8.8")


@pytest.mark.parametrize(
    ("status_code", "honoured"),
    [(429, True), (503, True), (500, False), (200, False), (302, False)],
)
def test_retry_after_counts_on_429_and_503(status_code: int, honoured: bool) -> None:
    """
    Retry-After is honoured on 429 and 503 alone.
    """
    answer = Response(status_code=status_code, headers=((b"Retry-After", b"7"),))

    outcome = from_response(answer, lambda: NOW)

    assert outcome.retry_after == (timedelta(seconds=7) if honoured else None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("86400", 86400),
        ("86401", 86400),
        ("999999999", 86400),
        ("9999999999", None),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Tue, 01 Jan 2030 00:00:00 GMT", 86400),
        ("Sun, 01 Mar 2026 11:59:59 GMT", None),
        ("Sun, 01 Mar 99999 11:59:59 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(text: str, seconds: int | None) -> None:
    """
    Seconds or a date in the future, at most 24 hours; anything else says nothing.
    """
    delay = parse_retry_after(text, NOW)

    assert delay == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.slow
@given(st.text(max_size=60))
def test_retry_after_never_raises(text: str) -> None:
    """
    No text breaks the reading of `Retry-After`, and none asks for more than 24 hours.
    """
    delay = parse_retry_after(text, NOW)

    assert delay is None or timedelta(0) <= delay <= timedelta(hours=24)


def test_kept_headers_are_capped() -> None:
    """
    Values are cut, and headers past the number or the size are left out.
    """
    many = kept_headers([(b"x", b"y")] * 9000)
    long = kept_headers([(b"x", b"y" * 100_000)])
    large = kept_headers([(b"x", b"y" * 2000)] * 40)

    assert len(many) == MAX_KEPT_HEADERS
    assert len(long[0][1]) == MAX_KEPT_VALUE
    assert sum(len(name) + len(value) for name, value in large) <= MAX_KEPT_BYTES


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20))))
def test_kept_headers_hold_no_control_characters(headers: list[tuple[bytes, bytes]]) -> None:
    """
    What is kept can be stored as text by every database.
    """
    text = "".join(name + value for name, value in kept_headers(headers))

    assert not any(ord(character) < 32 and character != "\t" for character in text)


def test_failures() -> None:
    """
    An attempt without an answer has a kind, a text, and no status.
    """
    outcome = failed(FailureKind.DNS, "the host name does not resolve", Timings(dns_us=3))

    assert not outcome.succeeded
    assert (outcome.status_code, outcome.failure_kind) == (None, FailureKind.DNS)
    assert outcome.timings.dns_us == 3

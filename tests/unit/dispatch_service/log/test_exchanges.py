"""
What the log keeps of a request and its response.
"""

from __future__ import annotations

import msgspec
import pytest

from dispatch_service.domain.outcomes import Outcome
from dispatch_service.log.exchanges import Detail, detail_of, kept_exchange, read_exchange

SENT = ((b"content-type", b"application/json"), (b"x-long", b"l" * 2000), (b"x-last", b"z"))
ANSWERED = (("content-type", "text/plain"), ("x-long", "l" * 1020), ("x-last", "z"))


@pytest.mark.parametrize(
    ("number", "ends", "is_full", "expected"),
    [
        (1, False, False, Detail.WHOLE),
        (1, True, False, Detail.WHOLE),
        (2, False, False, Detail.SHORTENED),
        (2, True, False, Detail.WHOLE),
        (20, False, False, Detail.SHORTENED),
        (1, False, True, Detail.LIMITED),
        (20, True, True, Detail.LIMITED),
    ],
)
def test_how_much_is_kept(number: int, ends: bool, is_full: bool, expected: Detail) -> None:
    """
    All of the first attempt and of the last, less between, the least where the log is full.
    """
    assert detail_of(number, ends=ends, is_full=is_full) is expected


def outcome(body: bytes, *, truncated: bool = False) -> Outcome:
    """
    Make the outcome of an answer with the headers of this module.
    """
    return Outcome(
        succeeded=False,
        status_code=500,
        response_headers=ANSWERED,
        response_body=body,
        body_truncated=truncated,
    )


def test_whole_exchange() -> None:
    """
    Nothing is left out, and nothing is said to be.
    """
    kept = kept_exchange(SENT, outcome(b"b" * 16384, truncated=True), Detail.WHOLE)

    assert (kept.request_headers, kept.response_headers) == (SENT, ANSWERED)
    assert (len(kept.response_body), kept.body_truncated, kept.detail) == (16384, True, 0)


@pytest.mark.parametrize(
    ("detail", "headers", "size"), [(Detail.SHORTENED, 1, 2048), (Detail.LIMITED, 0, 256)]
)
def test_exchange_with_less(detail: Detail, headers: int, size: int) -> None:
    """
    The first headers that fit, the beginning of the body, and that something was left out.
    """
    kept = kept_exchange(SENT, outcome(b"b" * 16384), detail)

    assert kept.request_headers == SENT[:headers]
    assert kept.response_headers == ANSWERED[:headers]
    assert kept.response_body == b"b" * size
    assert (kept.body_truncated, kept.detail) == (True, detail)


def test_short_exchange_is_kept_whole() -> None:
    """
    What is short enough is not said to be shortened.
    """
    short = Outcome(
        succeeded=False, status_code=500, response_headers=ANSWERED[:1], response_body=b"no"
    )

    kept = kept_exchange(SENT[:1], short, Detail.SHORTENED)

    assert kept == kept_exchange(SENT[:1], short, Detail.WHOLE)
    assert kept.detail == Detail.WHOLE
    without = Outcome(succeeded=False, response_body=b"no")
    assert kept_exchange((), without, Detail.LIMITED).detail == Detail.WHOLE


def test_rows_of_earlier_versions_are_read() -> None:
    """
    They do not say how much they hold, and it is all.
    """
    stored = msgspec.msgpack.encode([[[b"a", b"b"]], [["c", "d"]], b"body", True])

    kept = read_exchange(stored)

    assert (kept.request_headers, kept.response_headers) == (((b"a", b"b"),), (("c", "d"),))
    assert (kept.response_body, kept.body_truncated, kept.detail) == (b"body", True, Detail.WHOLE)

"""
The comparison of the config service's clock with the own one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.feed.config_clock import ConfigClock

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


# When each request was sent, when it came by the other clock, and when the answer to it came.
CASES: dict[str, tuple[list[tuple[float, float, float]], float]] = {
    "same clocks, no delay": ([(0, 0, 0)], 0),
    "other clock is 10 s behind": ([(10, 0, 10)], 10),
    "other clock is 10 s ahead": ([(0, 10, 0)], -10),
    "request takes a second": ([(0, 1, 1)], -1),
    "answer takes a second": ([(0, 0, 1)], 0),
    "first request waits for a connection": ([(0, 3, 3), (4, 4.001, 9)], -0.001),
    "a later request is slow": ([(0, 0.1, 0.1), (5, 9, 9)], -0.1),
    "other clock is set ahead": ([(0, 0.1, 0.1), (5, 3605, 5.1)], -3600),
    "other clock is set back": ([(0, 0.1, 0.1), (5, -3595, 5.1)], 3600),
    "own clock is set back": ([(0, 0, 0.1), (-3595, 5, -3594)], -3600),
}


@pytest.mark.parametrize("case", CASES)
def test_offset_is_never_too_large(case: str) -> None:
    """
    An instant that is converted is not later than it was: at most the time of the quickest
    request earlier.
    """
    exchanges, offset = CASES[case]
    clock = ConfigClock()

    clock.opened()
    for sent, came, answered in exchanges:
        clock.heard(clock.sent(at(sent)), at(came), at(answered))

    assert clock.offset is not None
    assert clock.offset.total_seconds() == pytest.approx(offset)


def test_answers_may_pass_over_requests() -> None:
    """
    An answer that was made after several requests tells when the last one came.
    """
    clock = ConfigClock()
    clock.opened()
    first, second = clock.sent(at(0)), clock.sent(at(1))
    clock.heard(second, at(1), at(2))
    clock.heard(first, at(50), at(51))

    assert clock.offset == timedelta()


def test_each_stream_compares_anew() -> None:
    """
    An error of an earlier comparison does not last.
    """
    clock = ConfigClock()
    clock.opened()
    clock.heard(clock.sent(at(30)), at(0), at(30))
    clock.opened()
    clock.heard(clock.sent(at(40)), at(40), at(40))

    assert clock.offset == timedelta()


def test_nothing_is_known_before_an_answer() -> None:
    """
    Without a comparison there is no offset, nor from a service that knows no numbers.
    """
    clock = ConfigClock()
    assert clock.offset is None
    clock.opened()
    clock.sent(at(0))
    clock.heard(0, at(0), at(0))
    assert clock.offset is None

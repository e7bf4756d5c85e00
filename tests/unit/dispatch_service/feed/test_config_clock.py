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


# When the request was sent, when each answer was made by the other clock, when it came.
CASES: dict[str, tuple[float, list[tuple[float, float]], float]] = {
    "same clocks, no delay": (0, [(0, 0)], 0),
    "other clock is 10 s behind": (10, [(0, 10)], 10),
    "other clock is 10 s ahead": (0, [(10, 0)], -10),
    "answer takes a second, made at its end": (0, [(1, 1)], -1),
    "answer takes a second, made at its beginning": (0, [(0, 1)], 0),
    "later answers are slow": (0, [(0, 0.1), (5, 9)], 0),
    "later answers are as quick": (0, [(0, 0.1), (5, 5.1), (10, 10.1)], 0),
    "other clock is set ahead": (0, [(0, 0.1), (3605, 5.1)], -3600),
    "other clock is set back": (0, [(0, 0.1), (-3595, 5.1)], 0),
}


@pytest.mark.parametrize("case", CASES)
def test_offset_is_never_too_large(case: str) -> None:
    """
    An instant that is converted is not later than it was: at most an answer's time earlier.
    """
    sent, answers, offset = CASES[case]
    clock = ConfigClock()

    clock.opened(at(sent))
    for made, came in answers:
        clock.heard(at(made), at(came))

    assert clock.offset is not None
    assert clock.offset.total_seconds() == pytest.approx(offset)


def test_each_stream_compares_anew() -> None:
    """
    An error of an earlier comparison does not last.
    """
    clock = ConfigClock()
    clock.opened(at(0))
    clock.heard(at(30), at(30))
    clock.opened(at(40))
    clock.heard(at(40), at(40))

    assert clock.offset == timedelta()


def test_nothing_is_known_before_an_answer() -> None:
    """
    Without a comparison there is no offset.
    """
    clock = ConfigClock()
    assert clock.offset is None
    clock.opened(at(0))
    assert clock.offset is None

"""
Steps of the database's clock are noticed.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch_service.domain.clock_watch import ClockWatch
from tests.support.dispatch_factories import NOW

HOUR = timedelta(hours=1)
TEN = timedelta(seconds=10)


def watch() -> ClockWatch:
    """
    Make one that has seen the clock at 100 seconds.
    """
    clock = ClockWatch()
    clock.accept(NOW, 100.0, 100.01)
    return clock


def test_first_look_is_right() -> None:
    """
    What was never looked at has not stepped.
    """
    assert ClockWatch().step(NOW, 1.0, 1.0) == timedelta()
    assert ClockWatch().expected(1.0) is None


@pytest.mark.parametrize("off", [timedelta(), timedelta(seconds=0.9), timedelta(seconds=-0.9)])
def test_slewed_clock_does_not_step(off: timedelta) -> None:
    """
    A clock may run a little faster or slower.
    """
    assert watch().step(NOW + TEN + off, 110.0, 110.01) == timedelta()


@pytest.mark.parametrize("step", [HOUR, -HOUR, timedelta(seconds=3), timedelta(seconds=-3)])
def test_step_is_measured(step: timedelta) -> None:
    """
    A step is known to the time that an answer takes.
    """
    found = watch().step(NOW + TEN + step, 110.0, 110.01)

    assert abs(found - step) <= timedelta(seconds=0.01)


def test_late_answer_is_no_step() -> None:
    """
    An answer that was waited for shows any time since it was asked for.
    """
    clock = watch()

    for late in (0, 4, 8):
        assert clock.step(NOW + TEN + timedelta(seconds=late), 110.0, 118.0) == timedelta()
    clock.accept(NOW + TEN, 110.0, 118.0)
    assert clock.expected(120.0) == NOW + 2 * TEN


def test_accepted_step_is_the_time() -> None:
    """
    What was adjusted to is no step any more.
    """
    clock = watch()
    clock.accept(NOW + HOUR, 110.0, 110.01)

    assert clock.step(NOW + HOUR + TEN, 120.0, 120.01) == timedelta()
    assert clock.expected(110.0) == NOW + HOUR

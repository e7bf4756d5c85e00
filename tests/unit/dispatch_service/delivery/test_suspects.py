"""
The order of suspects, and what counts against them.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.suspect_attempts import (
    ControlTime,
    SuspectAttempt,
    count_deaths,
    last_suspect,
)
from dispatch_service.delivery.suspects import (
    LONGEST_SECONDS,
    MOST_WAITING,
    SHORTEST_SECONDS,
    SuspectLine,
)
from tests.support.dispatch_factories import NOW, claimed

START = 100.0


def suspect(deaths: int = 0) -> Ready:
    """
    Make a suspect with so many deaths.
    """
    return Ready(claimed(interrupted=3, number=4), b"{}", START + 45, deaths)


def open_line() -> SuspectLine:
    """
    Return a line behind the control time.
    """
    line = SuspectLine(START)
    line.is_open = True
    return line


def attempted(number: int, process: str, seconds: float, delivery: str = "a") -> SuspectAttempt:
    """
    Make an attempt that a process has left.
    """
    return SuspectAttempt(("o", delivery), number, process, NOW + timedelta(seconds=seconds))


def test_fewest_deaths_go_first() -> None:
    """
    Of those that wait the one with the fewest deaths is next, among equals the first.
    """
    line = open_line()
    readies = [suspect(2), suspect(1), suspect(1), suspect(0)]
    for ready in readies:
        assert line.join(ready, START) is None

    order = [line.start_next() for _ in readies]

    assert order == [readies[3], readies[1], readies[2], readies[0]]
    assert line.start_next() is None


def test_nobody_waits_before_the_line_is_open() -> None:
    """
    In the control time each gets a later time behind its end, so that they keep their order.
    """
    line = SuspectLine(START + 10)

    delays = [line.join(suspect(), START) for _ in range(3)]

    assert delays == pytest.approx([10, 10.1, 10.2])


def test_suspect_with_deaths_waits_for_those_without() -> None:
    """
    Those that were released go first, too, and the one whose attempt is running.
    """
    line = SuspectLine(START + 10)
    for _ in range(3):
        line.join(suspect(), START)
    line.is_open = True

    delay = line.join(suspect(1), START + 10)
    assert delay == pytest.approx(SHORTEST_SECONDS)

    assert line.join(suspect(), START + 10) is None
    assert line.start_next() is not None
    assert line.join(suspect(1), START + 20) is not None
    line.finish(0.1)
    assert line.join(suspect(1), START + 20) is None


def test_line_takes_only_what_has_its_turn_soon() -> None:
    """
    The rest is claimed again when its turn may come, within a minute.
    """
    line = open_line()
    joined = [line.join(suspect(), START) for _ in range(MOST_WAITING + 1000)]

    assert joined.count(None) == 51
    delays = [it for it in joined if it is not None]
    assert delays == sorted(delays)
    assert max(delays) == LONGEST_SECONDS


def test_slow_attempts_make_the_line_shorter() -> None:
    """
    What waits in memory must have its turn well inside its lease.
    """
    line = open_line()
    line.join(suspect(), START)
    assert line.start_next() is not None
    line.finish(20)

    joined = [line.join(suspect(), START) for _ in range(10)]

    assert joined.count(None) == 2


def test_closed_line_returns_what_waits() -> None:
    """
    A process that stops releases their leases.
    """
    line = open_line()
    ready = suspect()
    line.join(ready, START)

    assert line.close() == [ready]
    assert line.start_next() is None


def test_deaths_are_counted_in_the_present_row_of_interruptions() -> None:
    """
    What was before an attempt with an outcome, and what is not interrupted, does not count.
    """
    it = claimed(owner="o", delivery_id="a", number=9, interrupted=4)
    left = [attempted(number, "host-1-x", number) for number in (3, 4, 5, 7, 8, 9)]
    left.append(attempted(6, "host-1-x", 6, delivery="b"))

    assert count_deaths(it, left) == 3


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([], None),
        ([attempted(1, "here-1-x", 1)], "a"),
        ([attempted(1, "here-1-x", 1), attempted(1, "here-2-x", 2, "b")], "b"),
        # Another host's is later, but this host died in its control time.
        ([attempted(1, "here-1-x", 1), attempted(1, "there-2-x", 2, "b")], "a"),
        ([attempted(1, "there-1-x", 1), attempted(1, "far-2-x", 2, "b")], "b"),
        # It came after the process had started, so it was not the death before.
        ([attempted(1, "here-1-x", 1), attempted(1, "here-2-x", 9, "b")], "a"),
        # Nobody has died of what is on the wire.
        ([attempted(1, "here-1-x", 1), attempted(1, "here-alive-x", 2, "b")], "a"),
    ],
)
def test_last_suspect_before_a_death_in_the_control_time(
    left: list[SuspectAttempt], expected: str | None
) -> None:
    """
    It is the one whose death was the last before that process had started.
    """
    died = ControlTime("here-7-x", NOW + timedelta(seconds=5))

    found = last_suspect(died, left, {"here-alive-x"})

    assert found == (None if expected is None else ("o", expected))

"""
How long groups wait for more events: not at all, but where one commit follows the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.commit_spacing import (
    ENOUGH_WAITING,
    LINGER_SECONDS,
    MOST_SPACING_SECONDS,
    SPACING_SECONDS,
    CommitSpacing,
)

START = 1000.0
COMMIT_SECONDS = 0.002


@pytest.mark.parametrize("per_second", [1, 50, 200])
def test_events_that_come_alone_wait_for_nothing(per_second: int) -> None:
    """
    At so many calls a second the commit of one has ended before the next comes.
    """
    arrivals = [START + n / per_second for n in range(100)]
    assert max(wait for wait, _ in _groups(arrivals)) == 0


def test_two_events_at_a_time_wait_for_nothing() -> None:
    """
    The second one comes during the commit of the first, and is committed right after it.
    """
    arrivals = [START + n // 2 / 100 + n % 2 / 1000 for n in range(100)]
    groups = list(_groups(arrivals))
    assert max(wait for wait, _ in groups) == 0
    assert len(groups) == len(arrivals)


def test_groups_wait_while_commits_are_what_limits() -> None:
    """
    At two thousand calls a second each group soon waits for more, so there are fewer commits.
    """
    arrivals = [START + n / 2000 for n in range(2000)]
    groups = list(_groups(arrivals))
    lasting = [wait for wait, _ in groups[40:-1]]
    assert min(lasting) >= LINGER_SECONDS
    assert max(lasting) <= MOST_SPACING_SECONDS
    assert len(groups) < 1.0 / MOST_SPACING_SECONDS * 1.2


def test_a_quiet_time_ends_the_waits() -> None:
    """
    Ten calls after a time of load, as they come at 200 a second, the last ones wait no more.
    """
    busy = [START + n / 2000 for n in range(2000)]
    quiet = [busy[-1] + (n + 1) / 200 for n in range(10)]
    waits = [wait for wait, _ in _groups([*busy, *quiet])]
    assert waits[-1] == 0


@pytest.mark.parametrize(
    ("waiting", "last_group", "since_last", "expected"),
    [
        (1, 1, 0.0, SPACING_SECONDS),
        (1, 1, SPACING_SECONDS, LINGER_SECONDS),
        (2, 2, 0.0, MOST_SPACING_SECONDS),
        (2, 2, 0.0005, MOST_SPACING_SECONDS - 0.0005),
        (1, 100, 0.0, MOST_SPACING_SECONDS),
        (1, 100, 0.004, LINGER_SECONDS),
        (ENOUGH_WAITING, 100, 0.0, 0.0),
        (500, 0, 0.0, 0.0),
    ],
)
def test_waits_of_a_busy_process(
    waiting: int, last_group: int, since_last: float, expected: float
) -> None:
    """
    A group waits for nothing if it has enough events, and longer after a larger group.
    """
    spacing, now = _busy()
    spacing.begin(now)
    spacing.end(last_group, now + since_last)
    assert spacing.wait_seconds(waiting, now + since_last) == pytest.approx(expected)


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0, 2), st.integers(0, 600), st.integers(1, 600)),
        max_size=60,
    )
)
def test_no_wait_is_longer_than_the_spacing(
    groups: list[tuple[float, float, int, int]],
) -> None:
    """
    Whatever came before, and however long the commits took.
    """
    now = START
    spacing = CommitSpacing(now)
    for idle, commit, events, waiting in groups:
        now += idle
        wait = spacing.wait_seconds(waiting, now)
        assert 0.0 <= wait <= MOST_SPACING_SECONDS
        spacing.begin(now + wait)
        now += wait + commit
        spacing.end(events, now)


def _busy() -> tuple[CommitSpacing, float]:
    spacing, now = CommitSpacing(START), START
    for _ in range(50):
        spacing.wait_seconds(1, now)
        spacing.begin(now)
        now += COMMIT_SECONDS
        spacing.end(1, now)
    return spacing, now


def _groups(arrivals: Iterable[float]) -> Iterator[tuple[float, int]]:
    """
    Commit events that come at these times; yield how long each group waited, and its size.
    """
    coming, now = list(arrivals), START
    spacing = CommitSpacing(now)
    while coming:
        now = max(now, coming[0])
        waiting = sum(at <= now for at in coming[:ENOUGH_WAITING])
        wait = spacing.wait_seconds(waiting, now)
        now += wait
        taken = sum(at <= now for at in coming[:500])
        del coming[:taken]
        spacing.begin(now)
        now += COMMIT_SECONDS
        spacing.end(taken, now)
        yield wait, taken

"""
When a worker that died is started again.
"""

from __future__ import annotations

from service_runtime.process.workers import (
    LONGEST_PAUSE_SECONDS,
    MOST_FAILED_STARTS,
    SETTLED_SECONDS,
    Restarts,
)


def test_pauses_grow_up_to_a_bound() -> None:
    """
    One that serves and dies again and again is started ever more seldom, but for ever.
    """
    restarts = Restarts()
    pauses = [restarts.pause_after(1, served=True) for _ in range(100)]

    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_long_life_makes_the_next_pause_short_again() -> None:
    """
    What was before a minute of good service is forgotten.
    """
    restarts = Restarts()
    for _ in range(5):
        restarts.pause_after(1, served=True)

    assert restarts.pause_after(SETTLED_SECONDS, served=True) == 0.5
    assert restarts.pause_after(1, served=True) == 1


def test_one_that_never_serves_is_given_up() -> None:
    """
    Failed starts in a row end it; one good start between them begins the count anew.
    """
    restarts = Restarts()
    for _ in range(MOST_FAILED_STARTS - 1):
        assert restarts.pause_after(1, served=False) is not None
    assert restarts.pause_after(1, served=True) is not None
    for _ in range(MOST_FAILED_STARTS - 1):
        assert restarts.pause_after(100, served=False) is not None

    assert restarts.pause_after(1, served=False) is None

"""
How long a group of events waits for more before it is committed. Spans are in seconds, and `now`
is the time of the monotonic clock.

A group forms by itself while the one before it is committed, so an event that comes alone waits
for nothing. Only while one commit follows the other, and commits are what limits, do groups wait
for more events: a commit costs as much as thirty events in one.
"""

from __future__ import annotations

ENOUGH_WAITING = 20
"""
With so many events waiting, a group begins at once.
"""

BUSY_SHARE = 0.8
"""
Groups wait if commits have taken more than this share of the time in which none waited for more.
"""

LINGER_SECONDS = 0.002
"""
How long a group waits at least, where groups wait.
"""

SPACING_SECONDS = 0.003
MOST_SPACING_SECONDS = 0.004
"""
The time between the starts of two groups: for each event of the last group, and at most.
"""

_KEPT = 0.9
"""
What the measured share keeps of the times before each group: it looks back on about ten.
"""

_LONGEST_IDLE = 0.01
"""
A longer time without events counts as so long, so that a burst is noticed soon.
"""


class CommitSpacing:
    """
    The wait before each group, from what share of the time commits took and from the size of the
    last group.
    """

    __slots__ = ("_busy", "_ended", "_idle", "_last_group", "_started")

    def __init__(self, now: float) -> None:
        self._last_group = 0
        self._started = self._ended = now
        self._busy = 0.0
        self._idle = _LONGEST_IDLE

    def wait_seconds(self, waiting: int, now: float) -> float:
        """
        Return how long the next group waits for more than the events that are *waiting*, of which
        the first one has come, or had come when the last group was committed.
        """
        self._idle = self._idle * _KEPT + min(now - self._ended, _LONGEST_IDLE)
        if waiting >= ENOUGH_WAITING or self._busy_share() < BUSY_SHARE:
            return 0.0
        spacing = min(self._last_group * SPACING_SECONDS, MOST_SPACING_SECONDS)
        return max(LINGER_SECONDS, self._started + spacing - now)

    def begin(self, now: float) -> None:
        """
        Note that a group begins.
        """
        self._started = now

    def end(self, events: int, now: float) -> None:
        """
        Note that a group of so many *events* has ended.
        """
        self._last_group = events
        self._busy = self._busy * _KEPT + now - self._started
        self._ended = now

    def _busy_share(self) -> float:
        return self._busy / (self._busy + self._idle)

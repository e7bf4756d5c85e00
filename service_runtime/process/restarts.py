"""
The pauses between restarts of a worker. Nothing here reads a clock.
"""

from __future__ import annotations

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""
After a life of this length the next pause is the first one again.
"""

MOST_FAILED_STARTS = 5
"""
After so many starts in a row without serving the worker is given up.
"""


class Restarts:
    """
    The restarts of one worker, with growing pauses.
    """

    def __init__(self) -> None:
        self._short_lives = 0
        self._failed_starts = 0

    def pause_after(self, lived_seconds: float, *, served: bool) -> float | None:
        """
        Return how many seconds to wait before a restart, None to give up.
        """
        self._failed_starts = 0 if served else self._failed_starts + 1
        if self._failed_starts >= MOST_FAILED_STARTS:
            return None
        self._short_lives = 1 if lived_seconds >= SETTLED_SECONDS else self._short_lives + 1
        doublings = min(self._short_lives - 1, 16)
        return min(FIRST_PAUSE_SECONDS * 2.0**doublings, LONGEST_PAUSE_SECONDS)

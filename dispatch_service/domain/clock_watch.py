"""
Notices steps of the database's clock, by the monotonic clock of this process. No I/O: both times
are passed in, the monotonic one in seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=1)
"""
By how much the clocks may differ between two looks: a clock that is slewed differs by less.
"""


class ClockWatch:
    """
    Compares the database's clock with what it should show since it was last looked at.
    """

    def __init__(self) -> None:
        self._seen: tuple[datetime, float] | None = None

    def expected(self, monotonic: float) -> datetime | None:
        """
        Return what the database's clock should show; None if it was not looked at yet.
        """
        if self._seen is None:
            return None
        database, seconds = self._seen
        return database + timedelta(seconds=monotonic - seconds)

    def step(self, database: datetime, asked: float, answered: float) -> timedelta:
        """
        Return by how far the clock has stepped, zero if it did not. It showed *database* at a
        time between *asked* and *answered*.
        """
        earliest, latest = self.expected(asked), self.expected(answered)
        if earliest is None or latest is None:
            return timedelta()
        if earliest - TOLERANCE <= database <= latest + TOLERANCE:
            return timedelta()
        return database - (latest if database > latest else earliest)

    def accept(self, database: datetime, asked: float, answered: float) -> None:
        """
        Take what the clock shows as right, unless the answer took too long to say so.
        """
        if self._seen is None or answered - asked <= TOLERANCE.total_seconds() / 2:
            self._seen = database, asked

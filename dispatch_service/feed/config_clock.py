"""
The clock of the config service's database, compared with that of the own database. No I/O, no
clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp


class ConfigClock:
    """
    Converts instants of the config service's database.

    *offset* is what is to be added to such an instant, at least: the clocks were compared with
    an error of as much as an answer takes, and the error is subtracted. None: not compared yet.
    """

    def __init__(self) -> None:
        self.offset: timedelta | None = None
        self._opened: datetime | None = None
        self._error = timedelta()

    def own_time(self, instant: datetime) -> datetime:
        """
        Return an instant of the config service's database by the own one, at the earliest.
        """
        return instant + (self.offset or timedelta())

    def opened(self, now: datetime) -> None:
        """
        Begin a comparison: a request is sent after *now* by the own database.
        """
        self._opened = now

    def heard(self, config_time: datetime, now: datetime) -> None:
        """
        Compare an answer that was made at *config_time* with the time *now* of the own database
        at which it has come.

        The first answer was made after its request was sent, which bounds the offset from below.
        Later ones bound it from above, and show that a clock was set.
        """
        if self._opened is not None:
            self._error = now - self._opened
            self.offset = self._opened - config_time
            self._opened = None
        elif self.offset is not None:
            self.offset = min(self.offset, now - config_time - self._error)


def instant(timestamp: Timestamp) -> datetime:
    """
    Return a time of the feed, in UTC.
    """
    return timestamp.ToDatetime(tzinfo=UTC)

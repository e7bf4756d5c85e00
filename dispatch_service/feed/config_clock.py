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

    *offset* is what is to be added to such an instant, at least: each comparison has an error of
    as much as a request takes, and the one with the smallest error counts. None: not compared yet.
    """

    def __init__(self) -> None:
        self.offset: timedelta | None = None
        self._sent: dict[int, datetime] = {}
        self._number = 0
        self._is_new = True

    def own_time(self, instant: datetime) -> datetime:
        """
        Return an instant of the config service's database by the own one, at the earliest.
        """
        return instant + (self.offset or timedelta())

    def opened(self) -> None:
        """
        Begin again: a stream is opened, and an error of earlier comparisons is forgotten with the
        first answer.
        """
        self._sent.clear()
        self._number = 0
        self._is_new = True

    def sent(self, now: datetime) -> int:
        """
        Return the number of a request that is sent after *now* by the own database.
        """
        self._number += 1
        self._sent[self._number] = now
        return self._number

    def heard(self, number: int, request_time: datetime, now: datetime) -> None:
        """
        Compare with an answer that has come by *now*, to a service that had received request
        *number* at *request_time* by its database.

        That it was received after it was sent bounds the offset from below, and that the answer
        came after it was made from above; a bound from above that is lower than what was known
        shows that a clock was set.
        """
        if number not in self._sent:
            return
        lowest = self._sent[number] - request_time
        self._sent = {later: time for later, time in self._sent.items() if later > number}
        is_set = self.offset is not None and now - request_time < self.offset
        if self.offset is None or self._is_new or is_set:
            self.offset = lowest
        else:
            self.offset = max(self.offset, lowest)
        self._is_new = False


def instant(timestamp: Timestamp) -> datetime:
    """
    Return a time of the feed, in UTC.
    """
    return timestamp.ToDatetime(tzinfo=UTC)

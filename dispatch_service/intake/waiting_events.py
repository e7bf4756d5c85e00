"""
Events that wait for their commit. No I/O.
"""

from __future__ import annotations

from collections import deque

import msgspec

from dispatch_service.domain.work import EventKey
from dispatch_service.intake.answers import Answers
from dispatch_service.intake.prepare import Prepared
from shipedge.webhooks.events.v1 import event_pb2

GROUP_EVENTS = 500
"""
At most this many events share a transaction: past it nothing is gained.
"""

GROUP_BYTES = 1024 * 1024
"""
A group is full with so many bytes too: to admit large events takes longer.
"""


# With a place in the collector's lists: an error in its answers refers back to it.
class Entry(msgspec.Struct):
    """
    An event on its way to the store, with what identifies it and the bytes that it holds,
    and whom to tell: it has the place *index* among the *answers*.

    *repeats* came after it in its group with the same id.
    """

    key: EventKey
    size: int
    answers: Answers
    index: int
    event: event_pb2.Event
    content: bytes
    prepared: Prepared | None = None
    repeats: list[Entry] = []


class WaitingEvents:
    """
    A queue of entries, and the bytes that they hold.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """
        Put an entry at the end.
        """
        self._entries.append(entry)
        self.bytes += entry.size

    def take(self) -> list[Entry]:
        """
        Take what makes a group: one entry at least where any waits.
        """
        taken: list[Entry] = []
        size = 0
        while self._entries and len(taken) < GROUP_EVENTS and size < GROUP_BYTES:
            entry = self._entries.popleft()
            taken.append(entry)
            size += entry.size
        self.bytes -= size
        return taken

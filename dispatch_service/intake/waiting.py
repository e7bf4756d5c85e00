"""
The events that wait for their commit, which of them make a group, how long a group waits
for more, and the answers of one call. No I/O.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from dispatch_service.domain.work import EventKey, Receipt
from dispatch_service.intake.prepare import Prepared, SampleRequest
from shipedge.webhooks.events.v1 import event_pb2

GROUP_EVENTS = 500
"""
At most this many events share a transaction: a larger group is not cheaper.
"""

GROUP_BYTES = 1024 * 1024
"""
A group is also full with this many bytes, because large events take longer to prepare.
"""

LINGER_SECONDS = 0.002
LINGER_BELOW = 20
"""
With fewer events waiting, the commit waits `LINGER_SECONDS` for more.
"""

SPACING_SECONDS = 0.003
MOST_SPACING_SECONDS = 0.004
"""
The time between the starts of two groups: for each event of the last group, and at most.
A commit costs as much as thirty events in one.
"""

Answer = Receipt | Exception
"""
What was stored, or why it was not.
"""


class Answers:
    """
    The answers to the *count* events of one call, each given once, in any order.

    All share one future: a future for each would cost as much as storing its event.
    """

    __slots__ = ("_all_given", "_given", "_left")

    def __init__(self, count: int) -> None:
        self._given: list[Answer | None] = [None] * count
        self._left = count
        self._all_given: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def give(self, index: int, answer: Answer) -> None:
        """
        Answer one event. The caller may have hung up meanwhile.
        """
        self._given[index] = answer
        self._left -= 1
        if not self._left and not self._all_given.done():
            self._all_given.set_result(None)

    async def all(self) -> list[Answer]:
        """
        Wait for all answers and return them in the order of the events.
        """
        if self._left:
            await self._all_given
        return [answer for answer in self._given if answer is not None]


# Tracked by the garbage collector: an error in its answers refers back to it.
class WaitingEvent(msgspec.Struct):
    """
    An event that waits for its commit. Its answer goes to *index* of *answers*.

    *content* is its deterministic serialisation, of *size* bytes. *repeats* came after it in
    its group with the same id. *prepared* is kept while a refused group is split.
    """

    key: EventKey
    size: int
    answers: Answers
    index: int
    event: event_pb2.Event
    content: bytes
    sample: SampleRequest | None = None
    prepared: Prepared | None = None
    repeats: Sequence[WaitingEvent] = ()


class WaitingEvents:
    """
    A queue of events, and the bytes that they hold.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._events: deque[WaitingEvent] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def add(self, waiting: WaitingEvent) -> None:
        """
        Put an event at the end.
        """
        self._events.append(waiting)
        self.bytes += waiting.size

    def take(self) -> list[WaitingEvent]:
        """
        Take what makes a group: at least one event if any waits.
        """
        taken: list[WaitingEvent] = []
        size = 0
        while self._events and len(taken) < GROUP_EVENTS and size < GROUP_BYTES:
            waiting = self._events.popleft()
            taken.append(waiting)
            size += waiting.size
        self.bytes -= size
        return taken


def linger_seconds(waiting: int, last_group: int, since_last: float) -> float:
    """
    Return how long a group waits for more events.

    That is no time once enough events wait, otherwise two milliseconds, and longer if the
    last group, which started *since_last* seconds ago, shows that events come often.
    """
    if waiting >= LINGER_BELOW:
        return 0.0
    spacing = min(last_group * SPACING_SECONDS, MOST_SPACING_SECONDS)
    return max(LINGER_SECONDS, spacing - since_last)

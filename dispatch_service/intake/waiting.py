"""
The events that wait for their commit: which of them make a group, how long a group waits for
more, and the answers of one call. No I/O but the clock.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from dispatch_service.delivery.batches import InFlight
from dispatch_service.domain.errors import BacklogFull
from dispatch_service.domain.work import EventKey, Receipt
from dispatch_service.intake.prepare import Prepared, SampleRequest, serialised
from shipedge.webhooks.events.v1 import event_pb2

MOST_WAITING_BYTES = 128 * 1024 * 1024
"""
The most bytes of serialised events that may wait; in memory they take up to five times as much.
"""

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

PATIENCE_SECONDS = 10.0
"""
While the store is unavailable, an event that has waited longer is answered with its group's
fault: each group that is tried takes seconds, and a publisher must not wait for all of them.
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

    __slots__ = ("_all_given", "_given", "_left", "since")

    def __init__(self, count: int) -> None:
        self.since = time.monotonic()
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


Commit = Callable[[Sequence[WaitingEvent]], Awaitable[int]]
"""
Commits a group and answers its events; returns how many of them were valid.
"""


class WaitingEvents:
    """
    A queue of at most *most* events, which are committed in groups, in the order of arrival.
    The group that is being committed is *in_flight*.
    """

    def __init__(self, most: int) -> None:
        self.bytes = 0
        self.in_flight = InFlight()
        self._most = most
        self._events: deque[WaitingEvent] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._events)

    def submit(
        self, events: Sequence[event_pb2.Event], sample: SampleRequest | None = None
    ) -> Answers:
        """
        Queue published events, or the event of a *sample*. Each is answered after its commit.

        An answer is a receipt, `EventInvalid` for an event that cannot be published,
        `StoreUnavailable` if the store did not answer, or the store's own error if it
        refused this event. Raises `BacklogFull` if too much waits already.
        """
        self._check_room(len(events))
        answers = Answers(len(events))
        # A copy: what is read off the call's own list is made anew each time.
        events = events[:]
        contents = [serialised(event) for event in events]
        for index, (event, content) in enumerate(zip(events, contents, strict=True)):
            key = (event.account_id, event.event_id)
            self.add(WaitingEvent(key, len(content), answers, index, event, content, sample))
        self._arrived.set()
        return answers

    def _check_room(self, count: int) -> None:
        if len(self._events) + count > self._most:
            raise BacklogFull("events wait to be committed", len(self._events))
        if self.bytes > MOST_WAITING_BYTES:
            raise BacklogFull("bytes of events wait to be committed", self.bytes)

    async def run(self, commit: Commit) -> None:
        """
        Have groups committed, one at a time, until `stop` was called and nothing waits any more.
        """
        last_group, started = 0, time.monotonic()
        while not (self._stopping and not self._events):
            await self._arrived.wait()
            pause = linger_seconds(len(self._events), last_group, time.monotonic() - started)
            if pause and not self._stopping:
                await asyncio.sleep(pause)
            started = time.monotonic()
            with self.in_flight.work():
                last_group = await commit(self.take())
            if not self._events and not self._stopping:
                self._arrived.clear()

    def wake(self) -> None:
        """
        Have an empty group committed if nothing waits.
        """
        self._arrived.set()

    def stop(self) -> None:
        """
        Let `run` end when all that waits is committed.
        """
        self._stopping = True
        self._arrived.set()

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

    def take_impatient(self, now: float) -> list[WaitingEvent]:
        """
        Take the events that have waited for `PATIENCE_SECONDS` at *now*, by the monotonic clock.
        """
        taken: list[WaitingEvent] = []
        while self._events and self._events[0].answers.since <= now - PATIENCE_SECONDS:
            taken.append(self._events.popleft())
        self.bytes -= sum(it.size for it in taken)
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


def give_receipts(group: Sequence[WaitingEvent], receipts: Mapping[EventKey, Receipt]) -> None:
    """
    Answer a committed group. A repeat gets the receipt of the first event with its id.
    """
    for waiting in group:
        receipt = receipts[waiting.key]
        waiting.answers.give(waiting.index, receipt)
        for repeat in waiting.repeats:
            repeat.answers.give(repeat.index, replace(receipt, fresh=False))

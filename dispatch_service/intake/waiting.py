"""
The events that wait for their commit: which of them make a group, and the answers of one call.
No I/O but the clock.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from dispatch_service.delivery.batches import InFlight
from dispatch_service.domain.commit_spacing import CommitSpacing
from dispatch_service.domain.errors import BacklogFull
from dispatch_service.domain.shares import SHARE_PERCENT, kept_beside
from dispatch_service.domain.work import EventKey, Receipt
from dispatch_service.intake.account_turns import AccountTurns
from dispatch_service.intake.backlog_limits import backlog_full
from dispatch_service.intake.prepare import Prepared, SampleRequest, serialised
from service_runtime.rpc import names
from service_runtime.rpc.gate.log_context import current_trace_parent
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

GROUP_DELIVERIES = 1000
"""
A group is also full with events that make so many deliveries: one event for each of hundreds of
subscriptions takes as long as hundreds of events.
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
    its group with the same id. *prepared* is kept while a refused group is split. It is expected
    to make so many *deliveries*, and counts as one at least; *trace_parent* is the place of its
    call in a trace.
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
    deliveries: int = 1
    trace_parent: str | None = None


Commit = Callable[[Sequence[WaitingEvent]], Awaitable[int]]
"""
Commits a group and answers its events; returns how many of them were valid.
"""


def _one(_owner: str) -> int:
    return 1


class WaitingEvents:
    """
    The events that wait, which are committed in groups. The group that is being committed is
    *in_flight*.

    One account may have *most* waiting. Beside that a share, in percent, is kept for accounts
    that have less than that. *fan_out* estimates how many deliveries an event of an owner makes.
    """

    def __init__(
        self,
        most: int,
        share_percent: int = SHARE_PERCENT,
        fan_out: Callable[[str], int] = _one,
    ) -> None:
        self.in_flight = InFlight()
        self._places = kept_beside(most, share_percent)
        self._bytes = kept_beside(MOST_WAITING_BYTES, share_percent)
        self._events: AccountTurns[WaitingEvent] = AccountTurns()
        self._arrived = asyncio.Event()
        self._stopping = False
        self._fan_out = fan_out

    def __len__(self) -> int:
        return len(self._events)

    @property
    def bytes(self) -> int:
        """
        How many bytes the waiting events have.
        """
        return self._events.size

    def submit(
        self, events: Sequence[event_pb2.Event], sample: SampleRequest | None = None
    ) -> Answers:
        """
        Queue published events, or the event of a *sample*. Each is answered after its commit.

        An answer is a receipt, `EventInvalid` for an event that cannot be published,
        `StoreUnavailable` if the store did not answer, or the store's own error if it
        refused this event. All events of an account get `BacklogFull` at once if too much waits
        already.
        """
        refused = self._refused(events)
        answers = Answers(len(events))
        # A copy: what is read off the call's own list is made anew each time.
        events = events[:]
        contents = [serialised(event) for event in events]
        fan_outs: dict[int, int] = {}
        trace_parent = current_trace_parent()
        for index, (event, content) in enumerate(zip(events, contents, strict=True)):
            account = event.account_id
            if refused and account in refused:
                answers.give(index, refused[account])
                continue
            if account not in fan_outs:
                fan_outs[account] = max(1, self._fan_out(names.account(account)))
            key = (account, event.event_id)
            waiting = WaitingEvent(key, len(content), answers, index, event, content, sample)
            waiting.deliveries, waiting.trace_parent = fan_outs[account], trace_parent
            self.add(waiting)
        self._arrived.set()
        return answers

    def _refused(self, events: Sequence[event_pb2.Event]) -> Mapping[int, BacklogFull]:
        """
        Return the errors of the accounts for whose events there is no room.
        """
        total = len(self._events)
        if total + len(events) <= self._places.common and self.bytes <= self._bytes.common:
            return {}
        refused = {}
        for account, more in Counter(event.account_id for event in events).items():
            owner, (count, size) = names.account(account), self._events.of(account)
            if not self._places.allows(total, count, more):
                what = "events wait to be committed"
                refused[account] = backlog_full(what, self._places, owner, total, count)
            elif not self._bytes.allows(self.bytes, size, 0):
                what = "bytes of events wait to be committed"
                refused[account] = backlog_full(what, self._bytes, owner, self.bytes, size)
            else:
                total += more
        return refused

    async def run(self, commit: Commit) -> None:
        """
        Have groups committed, one at a time, until `stop` was called and nothing waits any more.
        """
        spacing = CommitSpacing(time.monotonic())
        while not (self._stopping and not self._events):
            await self._arrived.wait()
            pause = spacing.wait_seconds(len(self._events), time.monotonic())
            if pause and not self._stopping:
                await asyncio.sleep(pause)
            spacing.begin(time.monotonic())
            with self.in_flight.work():
                count = await commit(self.take())
            spacing.end(count, time.monotonic())
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

    def take(self) -> list[WaitingEvent]:
        """
        Take what makes a group: at least one event if any waits.
        """
        taken: list[WaitingEvent] = []
        size = deliveries = 0
        for _ in range(min(len(self._events), GROUP_EVENTS)):
            if size >= GROUP_BYTES or deliveries >= GROUP_DELIVERIES:
                break
            waiting = self._events.popleft()
            taken.append(waiting)
            size += waiting.size
            deliveries += waiting.deliveries
        return taken

    def take_impatient(self, now: float) -> list[WaitingEvent]:
        """
        Take the events that have waited for `PATIENCE_SECONDS` at *now*, by the monotonic clock.
        """
        waiting = [self._events.popleft() for _ in range(len(self._events))]
        taken: list[WaitingEvent] = []
        for it in waiting:
            if it.answers.since <= now - PATIENCE_SECONDS:
                taken.append(it)
            else:
                self._events.append(it)
        return taken

"""
The group commit: concurrent publishes share one transaction. Whatever was
answered is committed; what is committed and has a place in memory is handed
over at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import msgspec
import structlog

from dispatch_service.answers import Answers
from dispatch_service.backlog import Backlog
from dispatch_service.errors import BacklogFull
from dispatch_service.failpoints import reach
from dispatch_service.lane import Ready
from dispatch_service.lanes import Lanes
from dispatch_service.preparation import Prepared
from dispatch_service.queue import EventKey, Lease, Queue, Receipt
from dispatch_service.suppressions import Suppressions
from shipedge.webhooks.rpc.errors import StoreUnavailable
from shipedge.webhooks.runtime import metrics
from shipedge.webhooks.runtime.database import is_unavailable

GROUP_EVENTS = 500
"""
At most this many events share a transaction: past it nothing is gained.
"""

MOST_WAITING_BYTES = 256 * 1024 * 1024
"""
So many bytes of payloads may wait for their commit.
"""

LINGER_SECONDS = 0.002
LINGER_BELOW = 20
"""
With fewer events waiting, the committer waits this long for company.
"""

SPACING_SECONDS = 0.003
MOST_SPACING_SECONDS = 0.005
"""
So long for each event of the last group, and at most, it also leaves between the
beginnings of two groups: a commit costs as much as thirty events in one.
"""

log = structlog.get_logger()


def linger_seconds(waiting: int, last_group: int, since_last: float) -> float:
    """
    Return how long to wait for company: nothing once enough events wait, else two
    milliseconds, and longer where the last group, which began *since_last* seconds
    ago, shows that events come often.
    """
    if waiting >= LINGER_BELOW:
        return 0.0
    spacing = min(last_group * SPACING_SECONDS, MOST_SPACING_SECONDS)
    return max(LINGER_SECONDS, spacing - since_last)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """
    An event on its way to the store, with what identifies it and the bytes of payload that
    it holds, and whom to tell: it has the place *index* among the *answers*.
    """

    prepared: Prepared
    key: EventKey
    size: int
    answers: Answers
    index: int


class GroupCommitter:
    """
    Commits events in groups, one group at a time, in the order in which they came.
    """

    def __init__(
        self,
        queue: Queue,
        lanes: Lanes,
        lease: Lease,
        backlog: Backlog,
        suppressions: Suppressions,
        *,
        most_waiting: int,
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._lease = lease
        self._backlog = backlog
        self._suppressions = suppressions
        self._most_waiting = most_waiting
        self._waiting_bytes = 0
        self._waiting: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False

    def check_room(self, count: int) -> None:
        """
        Refuse *count* more events if too many wait already, or too much is owed.

        Raises `BacklogFull`.
        """
        if len(self._waiting) + count > self._most_waiting:
            raise BacklogFull("events wait to be committed", len(self._waiting))
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise BacklogFull("bytes of payloads wait to be committed", self._waiting_bytes)
        self._backlog.check()

    def waiting(self) -> int:
        """
        Count the events that wait.
        """
        return len(self._waiting)

    def submit(self, prepared: Prepared, answers: Answers, index: int = 0) -> None:
        """
        Queue an event; the answer is what the store knows of it once it is committed.

        It is `StoreUnavailable` where the store did not answer, and the store's own error
        where it refused this event.
        """
        event = prepared.event
        size = len(event.sealed_payload)
        for body in event.bodies:
            size += body.body_bytes
        self._waiting.append(Entry(prepared, event.key, size, answers, index))
        self._waiting_bytes += size
        self._arrived.set()

    async def run(self) -> None:
        """
        Commit groups until `stop` was called and nothing waits any more.
        """
        last_group, begun = 0, time.monotonic()
        while not (self._stopping and not self._waiting):
            await self._arrived.wait()
            pause = linger_seconds(len(self._waiting), last_group, time.monotonic() - begun)
            if pause and not self._stopping:
                await asyncio.sleep(pause)
            begun = time.monotonic()
            last_group = await self.commit_once()
            if not self._waiting and not self._stopping:
                self._arrived.clear()

    def stop(self) -> None:
        """
        Let `run` end when all that waits is committed.
        """
        self._stopping = True
        self._arrived.set()

    async def commit_once(self) -> int:
        """
        Commit what waits, at most one group; return how many events that were.
        """
        group = self._next_group()
        if group:
            await self._commit(group)
        return len(group)

    def _next_group(self) -> list[Entry]:
        """
        Take a group in which each event id stands once: a repeated one waits for the next.
        """
        group: dict[EventKey, Entry] = {}
        held_back: list[Entry] = []
        while self._waiting and len(group) < GROUP_EVENTS:
            entry = self._waiting.popleft()
            if entry.key in group:
                held_back.append(entry)
            else:
                group[entry.key] = entry
                self._waiting_bytes -= entry.size
        self._waiting.extendleft(reversed(held_back))
        return list(group.values())

    async def _commit(self, group: Sequence[Entry]) -> None:
        begun = time.monotonic()
        try:
            receipts = await self._queue.store_events(
                [entry.prepared.event for entry in group], self._lease
            )
        except Exception as error:  # noqa: BLE001 - every kind of failure is answered, none ends the loop
            await self._answer_failure(group, error)
            return
        reach("publish.after_commit")
        metrics.EVENTS.inc(sum(it.fresh for it in receipts.values()))
        lease_end = begun + self._lease.duration.total_seconds()
        for entry in group:
            self._answer(entry, receipts[entry.key], lease_end)

    async def _answer_failure(self, group: Sequence[Entry], error: Exception) -> None:
        """
        Bisect a refused group until the bad event stands alone; its neighbours are stored.
        """
        if not is_unavailable(error) and len(group) > 1:
            middle = len(group) // 2
            await self._commit(group[:middle])
            await self._commit(group[middle:])
            return
        log.error("event.store_failed", events=len(group), error_type=type(error).__name__)
        for entry in group:
            self._give_back(entry)
            told = StoreUnavailable() if is_unavailable(error) else error
            entry.answers.give(entry.index, told)

    def _answer(self, entry: Entry, receipt: Receipt, lease_end: float) -> None:
        if receipt.fresh:
            self._suppressions.count(entry.prepared.suppressed)
            for claimed, body in entry.prepared.handover:
                if claimed.delivery_id in receipt.held_back:
                    self._lanes.give_back(claimed, len(body))
                else:
                    self._lanes.take_reserved(Ready(claimed, body, lease_end))
        else:
            self._give_back(entry)
        entry.answers.give(entry.index, receipt)

    def _give_back(self, entry: Entry) -> None:
        for claimed, body in entry.prepared.handover:
            self._lanes.give_back(claimed, len(body))

"""
The group commit: concurrent publishes share one transaction. Whatever was
answered is committed; what is committed and has a place in memory is handed
over at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.domain.errors import BacklogFull
from dispatch_service.domain.work import EventKey, Lease, Receipt
from dispatch_service.intake.admission import Admission
from dispatch_service.intake.answers import Answers
from dispatch_service.intake.prepare import Prepared
from dispatch_service.intake.pressure import Backlog
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.intake.waiting_events import Entry, WaitingEvents
from dispatch_service.log.events import serialised
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.sealing import Sealer
from service_runtime.database.engine import is_unavailable
from service_runtime.observability import metrics
from service_runtime.process.failpoints import reach
from service_runtime.rpc.errors import StoreUnavailable
from shipedge.webhooks.events.v1 import event_pb2

MOST_WAITING_BYTES = 128 * 1024 * 1024
"""
So many bytes of serialised events may wait for their commit; in memory they take up to five
times as much.
"""

ADMITTED_TOGETHER = 100
"""
So many events are prepared at a time: more do not fit into the processor's caches, and the
event loop would be held up for longer.
"""

LINGER_SECONDS = 0.002
LINGER_BELOW = 20
"""
With fewer events waiting, the committer waits this long for company.
"""

SPACING_SECONDS = 0.003
MOST_SPACING_SECONDS = 0.004
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


class GroupCommitter:
    """
    Commits events in groups, one group at a time, in the order in which they came; only what
    repeats the id of a refused event goes to the end again.

    A group is also admitted together: step by step for many events costs a quarter less than
    event by event.
    """

    def __init__(
        self,
        queue: Queue,
        endpoint_queues: EndpointQueues,
        lease: Lease,
        backlog: Backlog,
        skipped_counts: SkippedCounts,
        admission: Admission,
        *,
        most_waiting: int,
    ) -> None:
        self._queue = queue
        self._endpoint_queues = endpoint_queues
        self._lease = lease
        self._backlog = backlog
        self._skipped_counts = skipped_counts
        self._admission = admission
        self._most_waiting = most_waiting
        self._waiting = WaitingEvents()
        self._arrived = asyncio.Event()
        self._stopping = False

    def check_room(self, count: int) -> None:
        """
        Refuse *count* more events if too many wait already, or too much is owed.

        Raises `BacklogFull`.
        """
        if len(self._waiting) + count > self._most_waiting:
            raise BacklogFull("events wait to be committed", len(self._waiting))
        if self._waiting.bytes > MOST_WAITING_BYTES:
            raise BacklogFull("bytes of events wait to be committed", self._waiting.bytes)
        self._backlog.check()

    def waiting(self) -> int:
        """
        Count the events that wait.
        """
        return len(self._waiting)

    def submit(self, events: Sequence[event_pb2.Event]) -> Answers:
        """
        Queue events; the answers are what the store knows of each once it is committed.

        An answer is `EventInvalid` for an event that cannot be published, `StoreUnavailable`
        where the store did not answer, and the store's own error where it refused this event.
        """
        answers = Answers(len(events))
        # A copy: what is read off the call's own list is made anew each time.
        events = events[:]
        contents = [serialised(it) for it in events]
        for index, (event, content) in enumerate(zip(events, contents, strict=True)):
            key = (event.account_id, event.event_id)
            self._add(Entry(key, len(content), answers, index, event, content))
        return answers

    def submit_prepared(self, event: event_pb2.Event, prepared: Prepared) -> Answers:
        """
        Queue an event that is admitted already; see `submit`.
        """
        answers = Answers(1)
        key, content = prepared.event.key, prepared.event.sealed_payload
        self._add(Entry(key, len(content), answers, 0, event, content, prepared))
        return answers

    def _add(self, entry: Entry) -> None:
        self._waiting.add(entry)
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
        else:
            # Where nothing can be published, others have their turn all the same.
            await asyncio.sleep(0)
        return len(group)

    def _next_group(self) -> list[Entry]:
        """
        Take a group of what can be published, in which each event id stands once.
        """
        group: dict[EventKey, Entry] = {}
        for entry in self._sound(self._waiting.take()):
            first = group.setdefault(entry.key, entry)
            if first is not entry:
                first.repeats.append(entry)
        return list(group.values())

    def _sound(self, entries: Sequence[Entry]) -> list[Entry]:
        """
        Answer what cannot be published; return the others.
        """
        sound = []
        for entry in entries:
            admitted = entry.prepared is not None
            refusal = None if admitted else self._admission.refusal(entry.event, entry.content)
            if refusal is None:
                sound.append(entry)
            else:
                entry.answers.give(entry.index, refusal)
        return sound

    async def _commit(self, group: Sequence[Entry]) -> None:
        begun = time.monotonic()
        try:
            sealer = await self._admission.sealer()
        except Exception as error:  # noqa: BLE001 - see below; without a key no event can be stored
            self._fail(group, error)
            return
        try:
            prepared = await self._prepared(group, sealer)
            receipts = await self._queue.store_events([it.event for it in prepared], self._lease)
        except Exception as error:  # noqa: BLE001 - every kind of failure is answered, none ends the loop
            await self._halve(group, error)
            return
        reach("publish.after_commit")
        metrics.EVENTS.inc(sum(it.fresh for it in receipts.values()))
        lease_end = begun + self._lease.duration.total_seconds()
        for entry, it in zip(group, prepared, strict=True):
            self._answer(entry, it, receipts[entry.key], lease_end)

    async def _prepared(self, group: Sequence[Entry], sealer: Sealer) -> list[Prepared]:
        """
        Admit those of a group that are not admitted yet, and return what is stored of all.
        """
        new = [it for it in group if it.prepared is None]
        for begin in range(0, len(new), ADMITTED_TOGETHER):
            if begin:
                await asyncio.sleep(0)
            some = new[begin : begin + ADMITTED_TOGETHER]
            admitted = self._admission.prepare(
                [it.event for it in some], [it.content for it in some], sealer
            )
            for entry, prepared in zip(some, admitted, strict=True):
                entry.prepared = prepared
        return [it.prepared for it in group if it.prepared is not None]

    async def _halve(self, group: Sequence[Entry], error: Exception) -> None:
        """
        Bisect a refused group until the bad event stands alone; its neighbours are stored.
        """
        if is_unavailable(error) or len(group) == 1:
            self._fail(group, error)
            return
        middle = len(group) // 2
        await self._commit(group[:middle])
        await self._commit(group[middle:])

    def _fail(self, group: Sequence[Entry], error: Exception) -> None:
        """
        Answer events that were not stored.
        """
        away = is_unavailable(error)
        log.error(
            "event.store_failed",
            events=len(group),
            error_type=type(error).__name__,
            # What a database says may quote what it was given.
            exc_info=None if away or isinstance(error, DBAPIError) else error,
        )
        for entry in group:
            self._unreserve(entry)
            entry.answers.give(entry.index, StoreUnavailable() if away else error)
            for it in entry.repeats:
                # What has the id of a refused event may say something else; it waits anew.
                if away:
                    self._unreserve(it)
                    it.answers.give(it.index, StoreUnavailable())
                else:
                    self._add(it)

    def _answer(self, entry: Entry, prepared: Prepared, receipt: Receipt, lease_end: float) -> None:
        if receipt.fresh:
            self._skipped_counts.count(prepared.skipped)
            for claimed, body in prepared.direct:
                if claimed.delivery_id in receipt.blocked:
                    self._endpoint_queues.unreserve(claimed.endpoint_key, len(body))
                else:
                    self._endpoint_queues.take_reserved(Ready(claimed, body, lease_end))
        else:
            self._unreserve(entry)
        entry.answers.give(entry.index, receipt)
        for it in entry.repeats:
            self._unreserve(it)
            it.answers.give(it.index, replace(receipt, fresh=False))

    def _unreserve(self, entry: Entry) -> None:
        if entry.prepared is not None:
            for claimed, body in entry.prepared.direct:
                self._endpoint_queues.unreserve(claimed.endpoint_key, len(body))

"""
The batches of replay jobs.

The events of a batch are read and rendered before the transaction that stores their deliveries
and the progress of the job. Only deliveries that are lacking are stored, so no crash and no other
job makes one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.errors import BacklogFull
from dispatch_service.domain.work import Lease, NewEvent
from dispatch_service.intake.prepare import Cause, Preparer
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import replays, resends
from dispatch_service.resend.job_table import JobKey
from dispatch_service.resend.replay_events import BATCH, FoundEvents, Position, ReplayReader
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import Routed
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.rows import ReplayJobRow
from dispatch_service.storage.schema import bodies
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.database.faults import is_unavailable
from service_runtime.database.row_values import in_keys
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

LEASED_FOR = timedelta(seconds=30)
"""
How long a batch is kept from other processes, and how long a job waits that cannot go on for now.
"""

Refusals = Callable[[Sequence[event_pb2.Event]], Mapping[int, BacklogFull]]
"""
Returns the errors of events whose owners may have no more deliveries; may raise `BacklogFull`.
"""

_BODY = tuple(
    bodies.c[it] for it in ("owner", "account", "event_id", "event_type", "payload_version")
)


@dataclass(frozen=True, slots=True)
class _Batch:
    """
    What was *found*, prepared: *sound* events have a payload, *broken* ones have none.
    """

    found: FoundEvents
    sound: Sequence[NewEvent]
    broken: Sequence[NewEvent]


class ReplayWork:
    """
    Does the batches of replay jobs of all owners.

    A job waits while its subscription is held and while the backlog is full, as *refusals* says.
    It fails when its subscription is deleted or Inactive.
    """

    jobs = replays.JOBS

    def __init__(
        self,
        reader: ReplayReader,
        queue: Queue,
        keys: DayKeys,
        subscriptions: SubscriptionIndex,
        lease: Lease,
        refusals: Refusals,
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._keys = keys
        self._subscriptions = subscriptions
        self._lease = lease
        self._refusals = refusals
        self._preparer = Preparer(subscriptions, new_id)
        self._failures = FailureLog("event.match_failed")

    async def run_batch(
        self, engine: AsyncEngine, resting: Collection[JobKey], chosen: list[JobKey]
    ) -> int | None:
        """
        Do one batch of a job that is due, none that is *resting*; return how many deliveries were
        made, None if no job is due.

        The key of the job is added to *chosen* before anything of it can fail. Raises
        `SubscriptionDeleted` and `SubscriptionInactive`.
        """
        if not self._subscriptions.complete:
            return None
        job = await self._take(engine, resting)
        if job is None:
            return None
        chosen.append((job.owner, job.job_id))
        batch = await self._prepare(engine, job)
        return 0 if batch is None else await self._store(engine, job, batch)

    @retry_on_conflict
    async def _take(self, engine: AsyncEngine, resting: Collection[JobKey]) -> ReplayJobRow | None:
        async with writing(engine) as db:
            job = await self.jobs.next_due(db, resting)
            if job is not None:
                await self.jobs.lease(db, job, LEASED_FOR)
            return job

    async def _prepare(self, engine: AsyncEngine, job: ReplayJobRow) -> _Batch | None:
        """
        Prepare the next events of a job, None if it has to wait.
        """
        key = (job.owner, job.subscription)
        if self._subscriptions.held_revision(key) is not None:
            return None
        known = self._subscriptions.by_key.get(key)
        subscription = resends.active(names.subscription(*key), known)
        size = min(job.rate_limit or BATCH, BATCH)
        count = job.succeeded_count + job.failed_count + job.skipped_count
        position = Position(job.after_time, count)
        found = await self._reader.read(subscription, replays.span_of(job), position, size)
        if self._refused(found.events):
            return None
        made = await self._made(job, subscription, found.events)
        broken = await _without_body(engine, made)
        failed = {id(it) for it in broken}
        return _Batch(found, [it for it in made if id(it) not in failed], broken)

    def _refused(self, events: Sequence[event_pb2.Event]) -> bool:
        try:
            return bool(self._refusals(events))
        except BacklogFull:
            return True

    async def _made(
        self, job: ReplayJobRow, subscription: Subscription, events: Sequence[event_pb2.Event]
    ) -> list[NewEvent]:
        sealer = await self._keys.today()
        routed = [Routed((subscription,))] * len(events)
        cause = Cause(requested_by=job.requested_by, replayed=True)
        prepared = self._preparer.prepare_routed(events, routed, sealer, cause)
        return [it.event for it in prepared]

    async def _store(self, engine: AsyncEngine, job: ReplayJobRow, batch: _Batch) -> int:
        """
        Store a batch. One that the store refuses is stored event by event; those that it refuses
        alone have failed.
        """
        try:
            return await self._store_at_once(engine, job, batch)
        except Exception as error:
            if is_unavailable(error) or not (batch.sound or batch.broken):
                raise
        made, refused = await self._store_each(batch.sound)
        failed = refused + sum(await self._store_each(batch.broken))
        return await self._advance(engine, job, batch, made, failed)

    @retry_on_conflict
    async def _store_at_once(self, engine: AsyncEngine, job: ReplayJobRow, batch: _Batch) -> int:
        async with writing(engine) as db:
            if not await self.jobs.unmoved(db, job):
                return 0
            made = await self._insert(db, batch.sound)
            await self._progress(db, job, batch, made, await self._insert(db, batch.broken))
            reach("job.mid_batch")
        return made

    async def _insert(self, db: AsyncConnection, group: Sequence[NewEvent]) -> int:
        return await self._queue.insert_missing_into(db, group, self._lease) if group else 0

    async def _store_each(self, group: Sequence[NewEvent]) -> tuple[int, int]:
        """
        Store events one by one; return how many deliveries were made, and how many refused.
        """
        made = refused = 0
        for event in group:
            try:
                made += await self._queue.insert_missing([event], self._lease)
            except Exception as error:
                if is_unavailable(error):
                    raise
                self._failures.log(error, account=event.account)
                refused += 1
        return made, refused

    @retry_on_conflict
    async def _advance(
        self, engine: AsyncEngine, job: ReplayJobRow, batch: _Batch, made: int, failed: int
    ) -> int:
        async with writing(engine) as db:
            if await self.jobs.unmoved(db, job):
                await self._progress(db, job, batch, made, failed)
        return made

    async def _progress(
        self, db: AsyncConnection, job: ReplayJobRow, batch: _Batch, made: int, failed: int
    ) -> None:
        found = batch.found
        failed += found.unread
        values: dict[str, Any] = self.jobs.counted(
            succeeded_count=made,
            failed_count=failed,
            skipped_count=found.looked_at - made - failed,
        )
        if found.after_time is not None:
            values["after_time"] = found.after_time
        await self.jobs.advance(db, job, values, read=made, done=found.done)


async def _without_body(engine: AsyncEngine, made: Sequence[NewEvent]) -> list[NewEvent]:
    """
    Return the events whose payload cannot be rendered now and was not stored before either. Those
    that have a stored one are sent with it.
    """
    broken = {
        (it.owner, event.account, event.event_id, it.event_type, it.payload_version): event
        for event in made
        for it in event.deliveries
        if it.failure_kind is not None
    }
    if not broken:
        return []
    async with reading(engine) as db:
        rows = await db.execute(sa.select(*_BODY).where(in_keys(_BODY, list(broken))))
        for row in rows:
            for delivery in broken.pop(tuple(row)).deliveries:
                delivery.failure_kind = None
    return list(broken.values())

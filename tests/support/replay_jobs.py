"""
Replay jobs as tests make and run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import replays
from dispatch_service.resend.job_runner import JobRunner
from dispatch_service.resend.replay_events import ReplayReader
from dispatch_service.resend.replay_work import ReplayWork
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.rows import ReplayJobRow
from dispatch_service.storage.schema import deliveries, replay_jobs
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.rpc import names
from tests.support.dispatch_factories import LEASE


@dataclass
class Replays:
    """
    The replays of a database; *refused* is what the backlog answers.
    """

    store: AsyncEngine
    queue: Queue
    keys: DayKeys
    subscriptions: SubscriptionIndex
    refused: dict[int, Any] = field(default_factory=dict)
    woken: int = 0

    @property
    def reader(self) -> ReplayReader:
        """
        Return what reads the events that a subscription lacks.
        """
        return ReplayReader(self.store, self.keys, self.subscriptions)

    def runner(self) -> JobRunner:
        """
        Make a runner, as each process has one.
        """
        work = ReplayWork(
            self.reader,
            self.queue,
            self.keys,
            self.subscriptions,
            LEASE,
            lambda _events: self.refused,
        )
        return JobRunner(self.store, [work], self._became_due)

    def _became_due(self) -> None:
        self.woken += 1

    async def span(self, kinds: Sequence[str] = (), chosen: Sequence[str] = ()) -> replays.Span:
        """
        Choose the events of the last hour and the next, or those that are *chosen* by name.
        """
        now = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 - the tests' clock
        start = None if chosen else now - timedelta(hours=2)
        span = replays.chosen_span(start, None, kinds, chosen, now)
        async with reading(self.store) as db:
            return await replays.in_order(db, span)

    async def job(
        self, subscription: Subscription, *, span: replays.Span | None = None, rate: int = 0
    ) -> ReplayJobRow:
        """
        Make a job as a request would.
        """
        job_id, chosen = new_id(), span or await self.span()
        async with writing(self.store) as db:
            late = replays.late_of(subscription, self.subscriptions)
            total = await replays.count(db, chosen, replays.wanted_by(late, chosen.kinds))
            await replays.create(
                db, job_id, subscription, chosen, total, rate=rate, requested_by="callers/ann"
            )
        return await self.get(names.replay_job(subscription.owner, job_id))

    async def get(self, name: str) -> ReplayJobRow:
        """
        Read a job.
        """
        async with reading(self.store) as db:
            return await replays.JOBS.get(db, name)

    async def reread(self, job: ReplayJobRow) -> ReplayJobRow:
        """
        Read a job again.
        """
        return await self.get(names.replay_job(job.owner, job.job_id))

    async def all_due(self) -> None:
        """
        Let all jobs go on now.
        """
        going = sa.update(replay_jobs).where(replay_jobs.c.due_time.is_not(None))
        async with writing(self.store) as db:
            await db.execute(going.values(due_time=database_now()))

    async def finish(self, job: ReplayJobRow) -> ReplayJobRow:
        """
        Run batches until none is due; return the job then.
        """
        runner = self.runner()
        for _ in range(100):
            if not await runner.run_once():
                break
        return await self.reread(job)

    async def replayed(self) -> dict[str, bool]:
        """
        Return the ids of the events that have deliveries, in the order in which these were made,
        with whether they are replays.
        """
        query = sa.select(deliveries.c.event_id, deliveries.c.replayed)
        async with reading(self.store) as db:
            rows = await db.execute(query.order_by(deliveries.c.delivery_id))
            return {row.event_id: row.replayed for row in rows}

"""
The batches of resend jobs: the deliveries that a batch made due and the progress of the job are
committed together, so a crash neither loses nor repeats any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dispatch_service.domain.transitions import lifetime
from dispatch_service.log import read
from dispatch_service.log.url_filters import Hash
from dispatch_service.resend import jobs, late_bodies, resends
from dispatch_service.resend.job_runner import BATCH
from dispatch_service.resend.job_table import JobKey
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.rows import DeliveryRow, ResendJobRow
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import writing
from service_runtime.process.failpoints import reach
from service_runtime.rpc import names
from service_runtime.rpc.errors import FailedPrecondition

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@dataclass(frozen=True, slots=True)
class _Counts:
    """
    How many deliveries a batch made due, and how many it could not for want of a payload.
    """

    resent: int
    failed: int


class ResendWork:
    """
    Does the batches of resend jobs of all owners.
    """

    jobs = jobs.JOBS

    def __init__(self, subscriptions: SubscriptionIndex, hashed: Hash) -> None:
        self._subscriptions = subscriptions
        self._hashed = hashed

    @retry_on_conflict
    async def run_batch(
        self, engine: AsyncEngine, resting: Collection[JobKey], chosen: list[JobKey]
    ) -> int | None:
        """
        Do one batch of a job that is due, none that is *resting*; return how many deliveries
        became due, None if no job is.

        The key of the job is added to *chosen* before anything of it can fail.
        """
        async with writing(engine) as db:
            job = await self.jobs.next_due(db, resting)
            if job is None:
                return None
            chosen.append((job.owner, job.job_id))
            return await self._batch(db, job)

    async def _batch(self, db: AsyncConnection, job: ResendJobRow) -> int:
        size = min(job.rate_limit or BATCH, BATCH)
        rows = await read.list_chosen(
            db, jobs.choice_of(job).where(self._hashed), size, _cursor(job)
        )
        counts = await self._resend(db, job, rows)
        skipped = len(rows) - counts.resent - counts.failed
        values: dict[str, Any] = self.jobs.counted(
            resent_count=counts.resent, failed_count=counts.failed, skipped_count=skipped
        )
        if rows:
            values |= {
                "after_time": rows[-1].create_time,
                "after_delivery_id": rows[-1].delivery_id,
            }
        await self.jobs.advance(db, job, values, read=len(rows), done=len(rows) < size)
        reach("job.mid_batch")
        return counts.resent

    async def _resend(
        self, db: AsyncConnection, job: ResendJobRow, rows: Sequence[DeliveryRow]
    ) -> _Counts:
        """
        Make the deliveries due that may be resent.
        """
        by_lifetime: dict[timedelta, list[str]] = defaultdict(list)
        failed = 0
        for row in rows:
            subscription = self._subscriptions.by_key.get((row.owner, row.subscription))
            name = names.delivery(row.owner, row.delivery_id)
            try:
                found = resends.checked(name, row, subscription, force=job.force)
            except FailedPrecondition:
                failed += late_bodies.is_missing(row)
                continue
            by_lifetime[lifetime(self._subscriptions.schedule_of(found))].append(row.delivery_id)
        resent = [
            await resends.make_due(db, job.owner, ids, job.requested_by, span)
            for span, ids in by_lifetime.items()
        ]
        return _Counts(sum(resent), failed)


def _cursor(job: ResendJobRow) -> tuple[datetime, str] | None:
    if job.after_time is None or job.after_delivery_id is None:
        return None
    return job.after_time, job.after_delivery_id

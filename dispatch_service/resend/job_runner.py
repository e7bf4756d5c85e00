"""
The loop that works on resend jobs, a batch in each transaction: the deliveries that a batch
made due and the progress of the job are committed together, so a crash neither loses nor
repeats any.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.transitions import lifetime
from dispatch_service.log import read
from dispatch_service.log.url_filters import Hash
from dispatch_service.resend import jobs, resends
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.rows import JOBS, DeliveryRow, JobRow
from dispatch_service.storage.schema import resend_jobs as jobs_table
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import writing
from service_runtime.database.faults import is_unavailable
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from service_runtime.rpc.errors import FailedPrecondition

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 100
IDLE_SECONDS = 1.0
REST_SECONDS = 60.0
AWAY_REST_SECONDS = 5.0
"""
How long a job rests after an error of its own, and after one of the database.
"""

JobKey = tuple[str, str]
"""
The owner of a job, and its id.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    How many deliveries a batch read, and how many of them it made due.
    """

    read: int
    resent: int


class ResendRunner:
    """
    Works on the jobs of all owners. Several processes may do so at a time.

    *became_due* is called when deliveries became due. A job that fails is logged and rests for a
    minute, while the others go on.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        hashed: Hash,
        became_due: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._hashed = hashed
        self._became_due = became_due
        self._failures = FailureLog("resend_job.failed")
        # Until when jobs rest, by the monotonic clock. In memory: what fails may be the writing.
        self._resting: dict[JobKey, float] = {}

    async def run_once(self) -> bool:
        """
        Do one batch of a job that is due; return False if none is.
        """
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        chosen: list[JobKey] = []
        try:
            return await self._run_batch(chosen)
        except Exception as error:
            if not chosen:
                raise
            # A database that is away fails the next batch too, before it has chosen a job.
            rest = AWAY_REST_SECONDS if is_unavailable(error) else REST_SECONDS
            self._failures.log(error, job=names.resend_job(*chosen[-1]))
            self._resting[chosen[-1]] = now + rest
            return True

    @retry_on_conflict
    async def _run_batch(self, chosen: list[JobKey]) -> bool:
        """
        Do one batch; the key of its job is added to *chosen* before anything of it can fail.
        """
        async with writing(self._engine) as db:
            job = await _next_job(db, self._resting)
            if job is None:
                return False
            chosen.append((job.owner, job.resend_job_id))
            batch = await self._batch(db, job)
        if batch.resent:
            self._became_due()
        return True

    async def _batch(self, db: AsyncConnection, job: JobRow) -> Batch:
        size = min(job.rate_limit or BATCH, BATCH)
        rows = await read.list_chosen(
            db, jobs.choice_of(job).where(self._hashed), size, _cursor(job)
        )
        batch = Batch(len(rows), await self._resend(db, job, rows))
        values = _progress(job, rows, batch, done=len(rows) < size)
        same = (jobs_table.c.owner == job.owner) & (jobs_table.c.resend_job_id == job.resend_job_id)
        await db.execute(sa.update(jobs_table).where(same).values(values))
        reach("job.mid_batch")
        return batch

    async def _resend(self, db: AsyncConnection, job: JobRow, rows: Sequence[DeliveryRow]) -> int:
        """
        Make the deliveries due that may be resent; return how many.
        """
        by_lifetime: dict[timedelta, list[str]] = defaultdict(list)
        for row in rows:
            subscription = self._subscriptions.by_key.get((row.owner, row.subscription))
            name = names.delivery(row.owner, row.delivery_id)
            try:
                found = resends.checked(name, row, subscription, force=job.force)
            except FailedPrecondition:
                continue
            by_lifetime[lifetime(self._subscriptions.schedule_of(found))].append(row.delivery_id)
        return sum(
            [
                await resends.make_due(db, job.owner, ids, job.requested_by, span)
                for span, ids in by_lifetime.items()
            ]
        )


async def _next_job(db: AsyncConnection, resting: Collection[JobKey]) -> JobRow | None:
    """
    Lock the job that has been due for longest, but none that is *resting*.
    """
    key = [jobs_table.c.owner, jobs_table.c.resend_job_id]
    may_run = ~in_keys(key, list(resting)) if resting else sa.true()
    due = (
        JOBS.select()
        .where(jobs_table.c.due_time <= database_now(), may_run)
        .order_by(jobs_table.c.due_time)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return await JOBS.first(db, due)


def _cursor(job: JobRow) -> tuple[datetime, str] | None:
    if job.after_time is None or job.after_delivery_id is None:
        return None
    return job.after_time, job.after_delivery_id


def _progress(
    job: JobRow, rows: Sequence[DeliveryRow], batch: Batch, *, done: bool
) -> dict[str, object]:
    values: dict[str, object] = {
        "resent_count": jobs_table.c.resent_count + batch.resent,
        "skipped_count": jobs_table.c.skipped_count + batch.read - batch.resent,
    }
    if done:
        return values | {"state": "SUCCEEDED", "due_time": None, "end_time": database_now()}
    pause = timedelta(seconds=batch.read / job.rate_limit if job.rate_limit else 0)
    last = rows[-1]
    values |= {"after_time": last.create_time, "after_delivery_id": last.delivery_id}
    return values | {"due_time": after(pause)}

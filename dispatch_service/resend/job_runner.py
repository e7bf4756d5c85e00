"""
The loop that works on jobs, a batch at a time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from dispatch_service.resend.job_table import JobKey, JobTable
from service_runtime.database.engine import writing
from service_runtime.database.faults import is_unavailable
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.errors import RpcError
from service_runtime.rpc.status import status_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 100
IDLE_SECONDS = 1.0
REST_SECONDS = 60.0
AWAY_REST_SECONDS = 5.0
"""
How long a job rests after an error of its own, and after one of the database.
"""

MOST_ERRORS = 5
"""
A job fails after so many errors of its own in a row.
"""


class JobWork(Protocol):
    """
    The batches of the jobs of one kind.
    """

    @property
    def jobs(self) -> JobTable[Any]:
        """
        The jobs.
        """
        ...

    async def run_batch(
        self, engine: AsyncEngine, resting: Collection[JobKey], chosen: list[JobKey]
    ) -> int | None:
        """
        Do one batch of a job that is due, none that is *resting*; return how many deliveries
        became due, None if no job is.

        The key of the job is added to *chosen* before anything of it can fail. An `RpcError`
        ends the job as failed.
        """
        ...


class JobRunner:
    """
    Works on the jobs of all owners. Several processes may do so at a time.

    *became_due* is called when deliveries became due. A job whose batch fails is logged and rests
    for a minute, while the others go on; it ends as failed after `MOST_ERRORS` in a row.
    """

    def __init__(
        self, engine: AsyncEngine, works: Sequence[JobWork], became_due: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._works = [(work, FailureLog(f"{work.jobs.kind}.failed")) for work in works]
        self._became_due = became_due
        # Until when jobs rest, by the monotonic clock. In memory: what fails may be the writing.
        self._resting: dict[JobKey, float] = {}
        self._errors: Counter[JobKey] = Counter()

    async def run_once(self) -> bool:
        """
        Do one batch of a job of each kind that is due; return False if none is.
        """
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        # A list, because each kind has its turn.
        return any([await self._run(work, failures) for work, failures in self._works])

    async def _run(self, work: JobWork, failures: FailureLog) -> bool:
        chosen: list[JobKey] = []
        try:
            due = await work.run_batch(self._engine, self._resting, chosen)
        except Exception as error:
            if not chosen:
                raise
            await self._failed(work, failures, chosen[-1], error)
            return True
        if chosen:
            del self._errors[chosen[-1]]
        if due:
            self._became_due()
        return due is not None

    async def _failed(
        self, work: JobWork, failures: FailureLog, key: JobKey, error: Exception
    ) -> None:
        """
        Let a job rest, or end it if its error is final.
        """
        name, away = work.jobs.name_of(*key), is_unavailable(error)
        final = isinstance(error, RpcError) and not away
        # A database that is away fails the next batch too, before it has chosen a job.
        self._resting[key] = time.monotonic() + (AWAY_REST_SECONDS if away else REST_SECONDS)
        if not final:
            failures.log(error, job=name)
        if away:
            return
        self._errors[key] += 1
        if final or self._errors[key] >= MOST_ERRORS:
            with failures.isolated(job=name) as block:
                async with writing(self._engine) as db:
                    await work.jobs.fail(db, key, status_of(error).SerializeToString())
            if block.error is None:
                del self._errors[key]

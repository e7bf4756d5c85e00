"""
Resend jobs as tests make and run them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import fail
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import jobs
from dispatch_service.resend.job_runner import JobRunner
from dispatch_service.resend.resend_work import ResendWork
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.rows import ResendJobRow
from service_runtime.database.engine import reading, writing
from service_runtime.rpc import names
from tests.support.dispatch_factories import (
    LEASE,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
)

OWNER = "accounts/100"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def hashed(url: str) -> bytes:
    """
    Hash nothing: no test looks for a URL.
    """
    return url.encode()


async def store_failed(queue: Queue, count: int, name: str = "shipped") -> list[NewEvent]:
    """
    Store events whose deliveries failed.
    """
    made = [new_event(new_delivery(leased=True, subscription=name)) for _ in range(count)]
    await queue.insert(made, LEASE)
    settlements = []
    for event in made:
        claimed = claimed_of(event)
        record = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
        settlements.append(Settlement(claimed, fail(0, FailureKind.TIMEOUT), record))
    await queue.settle(settlements)
    return made


def index_of(*known: Any) -> SubscriptionIndex:
    """
    Make an index of subscriptions.
    """
    index = SubscriptionIndex(received=True, complete=True)
    for one in known:
        index.put(one)
    return index


def runner_of(
    store: AsyncEngine, index: SubscriptionIndex, became_due: Callable[[], None]
) -> JobRunner:
    """
    Make a runner of resend jobs.
    """
    return JobRunner(store, [ResendWork(index, hashed)], became_due)


async def made_job(
    store: AsyncEngine, source: str = "", chosen: list[str] | None = None, **over: Any
) -> ResendJobRow:
    """
    Make a job as a request would.
    """
    force = over.get("force", False)
    async with writing(store) as db:
        now = datetime.now(UTC) + timedelta(minutes=1)  # noqa: TID251 - the tests' clock
        choice = jobs.choose(OWNER, source, chosen or [], force=force, now=now, hashed=str.encode)
        total = await jobs.count(db, choice, hashed)
        job_id, rate = new_id(), over.get("rate", 0)
        await jobs.create(
            db, job_id, choice, total, force=force, rate=rate, requested_by="callers/ann"
        )
        return await jobs.JOBS.get(db, names.resend_job(OWNER, job_id))


async def job_of(store: AsyncEngine, job: ResendJobRow) -> ResendJobRow:
    """
    Read a job again.
    """
    async with reading(store) as db:
        return await jobs.JOBS.get(db, names.resend_job(job.owner, job.job_id))


async def finish(runner: JobRunner) -> int:
    """
    Run batches until none is due; return how many there were.
    """
    batches = 0
    while await runner.run_once():
        batches += 1
        assert batches < 100
    return batches

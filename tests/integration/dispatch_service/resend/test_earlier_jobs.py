"""
Resend jobs that an earlier version stored, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from dispatch_service.log.audit import audit_log
from dispatch_service.resend import earlier_jobs, jobs
from dispatch_service.resend.job_runner import JobRunner
from dispatch_service.resend.resend_work import ResendWork
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.rows import ResendJobRow
from dispatch_service.storage.schema import audit_entries, resend_jobs
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
JOB = "0" * 32
HASH = "6b" * 32
NAME = names.resend_job(OWNER, JOB)


def hashed(_url: str) -> bytes:
    """
    Hash every URL to the same.
    """
    return b"k" * 32


@pytest.fixture
async def audit(store: AsyncEngine) -> AuditLog:
    """
    Return the audit log of the database.
    """
    log = audit_log(KeyRing({"test": b"k" * 32}, b"h" * 32))
    await log.begin(store)
    return log


async def converted(store: AsyncEngine, audit: AuditLog, source: str, state: str) -> ResendJobRow:
    """
    Store a job as an earlier version did, convert it twice, and return it.
    """
    running = state == "RUNNING"
    row = {
        "owner": OWNER,
        "resend_job_id": JOB,
        "state": state,
        "filter": source,
        "force": False,
        "rate_limit": 0,
        "total_count": 1,
        "resent_count": 0,
        "skipped_count": 0,
        "requested_by": "callers/ann",
        "due_time": database_now() if running else None,
        "end_time": None if running else database_now(),
        "create_time": database_now(),
    }
    async with writing(store) as db:
        await db.execute(sa.insert(resend_jobs).values(row))
    for _ in range(2):
        async with writing(store) as db:
            await earlier_jobs.convert(db, hashed, audit)
    async with reading(store) as db:
        return await jobs.JOBS.get(db, NAME)


@pytest.mark.parametrize(
    ("before", "after_start"),
    [
        (
            'url = "https://a.com/key" AND state = FAILED',
            f'url = "{HASH}" AND state = FAILED',
        ),
        ('url = "https://a.com*"', 'url = "https://a.com*"'),
        ("state = FAILED", "state = FAILED"),
    ],
)
async def test_filters_lose_their_urls(
    store: AsyncEngine, audit: AuditLog, before: str, after_start: str
) -> None:
    """
    What earlier versions stored is replaced at the start, once, and the job goes on.
    """
    job = await converted(store, audit, before, "RUNNING")

    assert (job.filter, job.state) == (after_start, "RUNNING")
    runner = JobRunner(store, [ResendWork(SubscriptionIndex(), hashed)], lambda: None)
    assert await runner.run_once()
    async with reading(store) as db:
        assert (await jobs.JOBS.get(db, NAME)).state == "SUCCEEDED"


async def test_beginning_with_a_path_cancels_the_job(store: AsyncEngine, audit: AuditLog) -> None:
    """
    A job that can choose no deliveries any more ends and says why, instead of failing each
    minute; the path does not stay in the database.
    """
    with capture_logs() as lines:
        job = await converted(
            store, audit, 'url = "https://a.com/services/T0*" AND state = FAILED', "RUNNING"
        )

    assert job.state == "CANCELLED"
    assert job.filter == 'url = "https://a.com/…" AND state = FAILED'
    (line,) = (it for it in lines if it["event"] == "resend_job.cancelled")
    assert (line["job"], line["problem"]) == (NAME, earlier_jobs.REASON)
    async with reading(store) as db:
        (entry,) = (await db.execute(sa.select(audit_entries))).all()
    assert (entry.method, entry.resource, entry.caller) == ("CancelResendJob", NAME, "system")
    assert earlier_jobs.REASON in entry.changes
    runner = JobRunner(store, [ResendWork(SubscriptionIndex(), hashed)], lambda: None)
    assert not await runner.run_once()


async def test_ended_jobs_lose_the_path_too(store: AsyncEngine, audit: AuditLog) -> None:
    """
    A job that has ended stays as it ended.
    """
    job = await converted(store, audit, 'url = "https://a.com/services/T0*"', "SUCCEEDED")

    assert (job.state, job.filter) == ("SUCCEEDED", 'url = "https://a.com/…"')


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ('url = "https://a.com:8443/x/y*"', 'url = "https://a.com:8443/…"'),
        ("url = https://a.com/x* AND state = FAILED", "url = https://a.com/… AND state = FAILED"),
        ('url = "https://ann:pass@a.com/x*"', 'url = "https:///…"'),
        ('url = "https://a.com?key=x*"', 'url = "https://a.com/…"'),
        ('url = "https://a.com/…"', 'url = "https://a.com/…"'),
    ],
)
def test_without_paths(source: str, shown: str) -> None:
    """
    Of a URL the host stays, unless it cannot be told from a password.
    """
    assert earlier_jobs.without_paths(source) == shown

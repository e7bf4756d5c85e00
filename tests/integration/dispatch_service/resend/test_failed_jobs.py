"""
Jobs that fail, what becomes of their items, and lists of jobs.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from google.rpc import status_pb2
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import job_runner, jobs
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.schema import resend_jobs as jobs_table
from service_runtime.database.engine import reading, writing
from service_runtime.rpc import names
from service_runtime.rpc.paging import PageKey
from service_runtime.rpc.status import read_status
from tests.support.dispatch_factories import (
    LEASE,
    new_delivery,
    new_event,
    subscription,
)
from tests.support.resend_jobs import (
    finish,
    index_of,
    job_of,
    made_job,
    runner_of,
    store_failed,
)

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def test_job_that_fails_stops_no_other(queue: Queue, store: AsyncEngine) -> None:
    """
    A job whose batch fails is logged and rests; younger jobs are finished meanwhile.
    """
    await store_failed(queue, 3)
    broken, sound = await made_job(store), await made_job(store)
    async with writing(store) as db:
        same = jobs_table.c.resend_job_id == broken.job_id
        await db.execute(sa.update(jobs_table).where(same).values(names="no JSON"))
    runner = runner_of(store, index_of(subscription()), lambda: None)

    with capture_logs() as logs:
        await finish(runner)

    (failed,) = [line for line in logs if line["event"] == "resend_job.failed"]
    assert failed["job"] == names.resend_job(broken.owner, broken.job_id)
    assert failed["exc_info"] is not None
    assert (await job_of(store, sound)).state == "SUCCEEDED"
    assert not await runner.run_once()


async def test_job_that_always_fails_ends(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A job whose batches fail so many times in a row is FAILED, and says under which id the log
    has the error.
    """
    monkeypatch.setattr(job_runner, "REST_SECONDS", 0.0)
    await store_failed(queue, 1)
    broken = await made_job(store)
    async with writing(store) as db:
        await db.execute(sa.update(jobs_table).values(names="no JSON"))
    runner = runner_of(store, index_of(subscription()), lambda: None)

    for _ in range(job_runner.MOST_ERRORS - 1):
        assert await runner.run_once()
    assert (await job_of(store, broken)).state == "RUNNING"
    with capture_logs() as logs:
        await finish(runner)

    ended = await job_of(store, broken)
    assert (ended.state, ended.end_time is not None) == ("FAILED", True)
    error = read_status(status_pb2.Status.FromString(ended.error or b""))
    assert (error.code, error.reason) == ("INTERNAL", "INTERNAL_FAULT")
    (line,) = [it for it in logs if it["event"] == "rpc.fault"]
    assert error.metadata == {"id": line["error_id"]}


async def test_what_was_never_rendered_has_failed(queue: Queue, store: AsyncEngine) -> None:
    """
    Deliveries whose payload could not be rendered are told apart from those that are skipped.
    """
    await store_failed(queue, 1)
    await queue.insert([new_event(new_delivery(failure_kind="render"), bodies=())], LEASE)
    job = await made_job(store)

    await finish(runner_of(store, index_of(subscription()), lambda: None))

    after_it = await job_of(store, job)
    counts = (after_it.resent_count, after_it.failed_count, after_it.skipped_count)
    assert (after_it.state, counts) == ("SUCCEEDED", (1, 1, 0))


@pytest.mark.parametrize(
    ("parent", "found"),
    [("accounts/100", 2), ("accounts/-", 3), ("warehouses/-", 1), ("accounts/300", 0)],
)
async def test_jobs_of_all_owners_are_listed(store: AsyncEngine, parent: str, found: int) -> None:
    """
    The jobs of all accounts, or of all warehouses, are listed in pages, newest first.
    """
    made = []
    async with writing(store) as db:
        for owner in (OWNER, "accounts/200", "warehouses/w1", OWNER):
            choice = jobs.choose(owner, "", [], force=False, now=NOW, hashed=str.encode)
            made.append((owner, new_id()))
            await jobs.create(
                db, made[-1][1], choice, 0, force=False, rate=0, requested_by="callers/ann"
            )

    listed: list[str] = []
    last: PageKey | None = None
    async with reading(store) as db:
        for _ in range(found + 1):
            page = await jobs.JOBS.list(db, parent, 1, last)
            listed += [names.resend_job(row.owner, row.job_id) for row in page.rows]
            if (last := page.last) is None:
                break

    kind = parent.removesuffix("-")
    wanted = [names.resend_job(*it) for it in reversed(made)]
    assert listed == [name for name in wanted if name.startswith(kind)]
    assert len(listed) == found

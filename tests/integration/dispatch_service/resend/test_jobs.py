"""
Resends of many deliveries, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import ResendJobEnded
from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import jobs
from dispatch_service.storage.rows import ResendJobRow
from dispatch_service.storage.schema import deliveries
from dispatch_service.storage.schema import resend_jobs as jobs_table
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument
from tests.support.dispatch_factories import (
    LEASE,
    attempt,
    claimed_of,
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


async def due_time_of(store: AsyncEngine, job: ResendJobRow) -> datetime:
    """
    Read when the next batch of a job is due.
    """
    query = sa.select(jobs_table.c.due_time)
    async with reading(store) as db:
        due: datetime = (
            await db.execute(query.where(jobs_table.c.resend_job_id == job.job_id))
        ).scalar_one()
    return due


async def states(store: AsyncEngine) -> dict[str, int]:
    """
    Count the deliveries in each state.
    """
    query = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
    async with reading(store) as db:
        return {row[0]: row[1] for row in await db.execute(query)}


async def test_all_that_failed_goes_out_again(queue: Queue, store: AsyncEngine) -> None:
    """
    Every delivery that a job chose is made due, batch by batch, none left out.
    """
    await store_failed(queue, 230)
    job = await made_job(store)
    woken: list[None] = []
    runner = runner_of(store, index_of(subscription()), lambda: woken.append(None))

    batches = await finish(runner)

    after_it = await job_of(store, job)
    assert (job.state, job.total_count) == ("RUNNING", 230)
    assert (after_it.state, after_it.resent_count, after_it.skipped_count) == ("SUCCEEDED", 230, 0)
    assert await states(store) == {"PENDING": 230}
    assert (batches, len(woken)) == (3, 3)


async def test_crash_between_batches_loses_and_repeats_nothing(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A job goes on in another process where the last commit left it.
    """
    await store_failed(queue, 150)
    job = await made_job(store)
    await runner_of(store, index_of(subscription()), lambda: None).run_once()
    assert (await job_of(store, job)).resent_count == 100

    await finish(runner_of(store, index_of(subscription()), lambda: None))

    after_it = await job_of(store, job)
    assert (after_it.state, after_it.resent_count) == ("SUCCEEDED", 150)
    claimed = await queue.claim(LEASE, limit=500, per_endpoint=500, full=())
    assert {it.number for it in claimed} == {2}


async def test_batches_neither_repeat_nor_skip(queue: Queue, store: AsyncEngine) -> None:
    """
    What a job has resent may still be what it chooses; it goes on behind it all the same,
    in each batch in another process, also where many were accepted at the same instant.
    """
    for count in (150, 1, 130):
        await store_succeeded(queue, count)
    job = await made_job(store, "state = SUCCEEDED", force=True)

    batches = 0
    while await runner_of(store, index_of(subscription()), lambda: None).run_once():
        batches += 1
        assert batches <= 3

    after_it = await job_of(store, job)
    assert (after_it.state, after_it.resent_count, after_it.skipped_count) == ("SUCCEEDED", 281, 0)
    claimed = await queue.claim(LEASE, limit=500, per_endpoint=500, full=())
    assert len({it.delivery_id for it in claimed}) == 281
    assert {it.number for it in claimed} == {2}


async def store_succeeded(queue: Queue, count: int) -> None:
    """
    Store events, accepted at one instant, whose deliveries succeeded.
    """
    made = [new_event(new_delivery(leased=True)) for _ in range(count)]
    await queue.insert(made, LEASE)
    held = [claimed_of(it) for it in made]
    await queue.settle([Settlement(it, succeed(0), attempt(it)) for it in held])


async def test_what_cannot_be_sent_is_counted(queue: Queue, store: AsyncEngine) -> None:
    """
    Deliveries of a subscription that is Inactive or gone are skipped, and said to be.
    """
    await store_failed(queue, 3)
    await store_failed(queue, 2, "paused")
    await store_failed(queue, 1, "gone")
    job = await made_job(store)
    index = index_of(subscription(), subscription(subscription_id="paused", active=False))

    await finish(runner_of(store, index, lambda: None))

    after_it = await job_of(store, job)
    assert (after_it.resent_count, after_it.skipped_count, after_it.total_count) == (3, 3, 6)


async def test_rate_spreads_a_job(queue: Queue, store: AsyncEngine) -> None:
    """
    With a rate no more than a second's share is due before the job may go on.
    """
    await store_failed(queue, 25)
    job = await made_job(store, rate=10)
    runner = runner_of(store, index_of(subscription()), lambda: None)

    started = datetime.now(UTC)  # noqa: TID251 - the database's clock is that of this machine
    assert await runner.run_once()

    waits = await job_of(store, job)
    assert waits.resent_count == 10
    assert await due_time_of(store, job) >= started + timedelta(seconds=0.99)
    await due_in(store, timedelta(hours=1))
    assert not await runner.run_once()
    await due_in(store, timedelta(seconds=-1))
    assert await runner.run_once()
    assert (await job_of(store, job)).resent_count == 20


async def due_in(store: AsyncEngine, delay: timedelta) -> None:
    """
    Let all jobs go on after a delay.
    """
    async with writing(store) as db:
        await db.execute(sa.update(jobs_table).values({"due_time": after(delay)}))


async def test_cancelled_job_stops(queue: Queue, store: AsyncEngine) -> None:
    """
    A job that is stopped makes nothing more due, and cannot be stopped again.
    """
    await store_failed(queue, 150)
    job = await made_job(store)
    runner = runner_of(store, index_of(subscription()), lambda: None)
    await runner.run_once()

    async with writing(store) as db:
        await jobs.JOBS.cancel(db, (job.owner, job.job_id))

    assert not await runner.run_once()
    assert (await job_of(store, job)).state == "CANCELLED"
    assert await states(store) == {"PENDING": 100, "FAILED": 50}
    async with writing(store) as db:
        with pytest.raises(ResendJobEnded):
            await jobs.JOBS.cancel(db, (job.owner, job.job_id))


async def test_names_choose_just_those(queue: Queue, store: AsyncEngine) -> None:
    """
    Deliveries that are named are resent, whatever their state allows with `force`.
    """
    failed = await store_failed(queue, 2)
    good = new_event(new_delivery(leased=True))
    await queue.insert([good], LEASE)
    await queue.settle([Settlement(claimed_of(good), succeed(0), attempt(claimed_of(good)))])
    wanted = [names.delivery(OWNER, it.deliveries[0].delivery_id) for it in (failed[0], good)]

    for force, resent in ((False, 1), (True, 2)):
        job = await made_job(store, chosen=wanted, force=force)
        await finish(runner_of(store, index_of(subscription()), lambda: None))
        assert (await job_of(store, job)).resent_count == resent


@pytest.mark.parametrize(
    ("source", "whole"),
    [
        (
            "",
            (
                'state = FAILED AND create_time >= "2026-01-24T12:00:00.000000Z"'
                ' AND create_time <= "2026-01-31T12:00:00.000000Z"'
            ),
        ),
        (
            'state = PENDING AND create_time > "2026-01-01T00:00:00Z"',
            (
                'state = PENDING AND create_time > "2026-01-01T00:00:00Z"'
                ' AND create_time <= "2026-01-31T12:00:00.000000Z"'
            ),
        ),
    ],
)
def test_filter_says_all_that_it_means(source: str, whole: str) -> None:
    """
    What a filter leaves open is written into it, so that nothing is left out in silence.
    """
    assert jobs.choose(OWNER, source, [], force=False, now=NOW, hashed=str.encode).filter == whole


@pytest.mark.parametrize(
    ("source", "chosen", "field"),
    [
        ("state = SUCCEEDED", [], "force"),
        ("state = WRONG", [], "filter"),
        ("state = FAILED", [f"accounts/100/deliveries/dlv_{'0' * 32}"], "filter"),
        ("", [f"accounts/200/deliveries/dlv_{'0' * 32}"], "names[0]"),
        ("", ["accounts/100/deliveries/other"], "names[0]"),
        ("", [f"accounts/100/deliveries/dlv_{'0' * 32}"] * 1001, "names"),
    ],
)
def test_refuses(source: str, chosen: list[str], field: str) -> None:
    """
    A request that cannot be meant is refused with the field.
    """
    with pytest.raises(InvalidArgument) as raised:
        jobs.choose(OWNER, source, chosen, force=False, now=NOW, hashed=str.encode)

    assert raised.value.faults[0].field == field


@pytest.mark.parametrize("rate", [-1, 10_001])
def test_refuses_rates(rate: int) -> None:
    """
    A rate has bounds.
    """
    with pytest.raises(InvalidArgument):
        jobs.checked_rate(rate)

"""
What a step of the database's clock means for times that were written before it.

After a step back, what waits for nothing but a time is pulled back to what was meant. After a step
ahead, leases are renewed. Both change nothing where they have been done, so every process may do
it. Suspended deliveries, and the time for which breakers have been open, move along with the
clock; only the first process that notices the step moves them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.work import EndpointKey
from dispatch_service.queue.dialects import clause
from dispatch_service.queue.lock_order import by_key
from dispatch_service.storage.schema import (
    backlog_updates,
    clock_steps,
    deliveries,
    dispatchers,
    endpoint_states,
    replay_jobs,
    resend_jobs,
)
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now, micros

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 1000
"""
How many deliveries one transaction pulls back.
"""

SAME_STEP = timedelta(seconds=2)
SAME_TIME = timedelta(seconds=30)
"""
By how much two processes may differ about a step: about its size, and when they notice it.
"""

# Retries wait as long as the log says; leases have their length; all else may be claimed now.
_ALLOWED = """CASE WHEN @lease_owner IS NOT NULL THEN {now + $lease_us}
    WHEN @wait_reason IN ('schedule', 'retry_after') THEN coalesce(
        (SELECT {now} + (a.next_attempt_time - a.settle_time) FROM attempts a
         WHERE a.owner = deliveries.owner AND a.delivery_id = deliveries.delivery_id
           AND a.number = deliveries.attempt_count), {now})
    ELSE {now} END"""

_RENEWED = "{now + $lease_us}"


async def adjust(engine: AsyncEngine, step: timedelta, lease: timedelta) -> None:
    """
    Adjust all times to a clock that has stepped, where leases last as long as *lease*.
    """
    first = await _is_first(engine, step)
    async with reading(engine) as db:
        endpoints = await _endpoints(db)
    for endpoint in endpoints:
        if step < timedelta():
            while await _pull_back(engine, endpoint, lease):
                pass
        else:
            await _renew(engine, endpoint, lease)
        if first:
            await _move_suspended(engine, endpoint, step)
    await _adjust_others(engine, step if first else timedelta())


@retry_on_conflict
async def _is_first(engine: AsyncEngine, step: timedelta) -> bool:
    """
    Tell whether this process is the first that notices a step.
    """
    row = {"clock_step_id": 1, "step_time": database_now(), "step_us": micros(step)}
    columns = clock_steps.c
    known = sa.and_(
        columns.step_time.between(after(-SAME_TIME), after(SAME_TIME)),
        sa.func.abs(columns.step_us - micros(step)) <= micros(SAME_STEP),
    )
    async with writing(engine) as db:
        statement = insert(db.dialect.name, clock_steps).values(row)
        upsert = statement.on_conflict_do_update(
            index_elements=["clock_step_id"], set_=row, where=~known
        ).returning(columns.clock_step_id)
        return (await db.execute(upsert)).one_or_none() is not None


async def _endpoints(db: AsyncConnection) -> list[EndpointKey]:
    columns = deliveries.c
    query = sa.select(columns.owner, columns.endpoint).where(columns.due_time.is_not(None))
    return [(owner, endpoint) for owner, endpoint in await db.execute(query.distinct())]


@retry_on_conflict
async def _pull_back(engine: AsyncEngine, endpoint: EndpointKey, lease: timedelta) -> int:
    """
    Pull back a batch of what is due too late; return how many that were.
    """
    given = {"lease_us": micros(lease)}
    too_late = deliveries.c.due_time > clause(_ALLOWED, given)
    waits = sa.and_(too_late, ~_suspended())
    async with writing(engine) as db:
        return await _change(db, endpoint, waits, _ALLOWED, given)


@retry_on_conflict
async def _renew(engine: AsyncEngine, endpoint: EndpointKey, lease: timedelta) -> None:
    given = {"lease_us": micros(lease)}
    ends = deliveries.c.due_time < clause(_RENEWED, given)
    async with writing(engine) as db:
        leased = sa.and_(deliveries.c.lease_owner.is_not(None), ends)
        await _change(db, endpoint, leased, _RENEWED, given, limit=None)


@retry_on_conflict
async def _move_suspended(engine: AsyncEngine, endpoint: EndpointKey, step: timedelta) -> None:
    given = {"step_us": micros(step)}
    async with writing(engine) as db:
        await _change(db, endpoint, _suspended(), "{@due_time + $step_us}", given, limit=None)


def _suspended() -> sa.ColumnElement[bool]:
    return sa.func.coalesce(deliveries.c.wait_reason, "").in_(("inactive", "held"))


async def _change(
    db: AsyncConnection,
    endpoint: EndpointKey,
    wanted: sa.ColumnElement[bool],
    due_time: str,
    given: dict[str, Any],
    limit: int | None = BATCH,
) -> int:
    """
    Give deliveries of an endpoint another due time; the time until they expire moves along.
    """
    columns = deliveries.c
    mine = sa.and_(
        columns.owner == endpoint[0], columns.endpoint == endpoint[1], columns.due_time.is_not(None)
    )
    key = deliveries.primary_key.columns
    found = sa.select(*key).where(mine, wanted).order_by(*by_key(deliveries)).limit(limit)
    values = {
        "due_time": clause(due_time, given),
        "expire_time": clause(f"@expire_time + ({due_time} - @due_time)", given),
    }
    update = sa.update(deliveries).where(
        sa.tuple_(*key).in_(found.with_for_update(skip_locked=True))
    )
    return int((await db.execute(update.values(values))).rowcount)


@retry_on_conflict
async def _adjust_others(engine: AsyncEngine, moved: timedelta) -> None:
    """
    Adjust the small tables. Breakers have been open for *moved* longer or shorter.
    """
    states = endpoint_states.c
    async with writing(engine) as db:
        for column in (dispatchers.c.heartbeat_time, backlog_updates.c.due_time):
            await db.execute(_not_after_now(column))
        for jobs in (replay_jobs, resend_jobs):
            await db.execute(_not_after_now(jobs.c.due_time))
        paused = clause("{now} + (@open_until - @update_time)", {})
        late = sa.update(endpoint_states).where(states.update_time > database_now())
        await db.execute(late.values(open_until=paused, update_time=database_now()))
        since = clause("{@open_since + $step_us}", {"step_us": micros(moved)})
        await db.execute(sa.update(endpoint_states).values(open_since=since))


def _not_after_now(column: sa.Column[Any]) -> sa.Update:
    return (
        sa.update(column.table).where(column > database_now()).values({column.name: database_now()})
    )

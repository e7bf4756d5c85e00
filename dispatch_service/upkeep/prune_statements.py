"""
How long rows are kept, and the statements that delete older ones. Each deletes a small batch,
so that no delivery waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from dispatch_service.domain.figures import Unit
from dispatch_service.storage.schema import (
    attempt_figures,
    attempts,
    bodies,
    deliveries,
    event_keys,
    events,
    replay_jobs,
    request_ids,
    resend_jobs,
    suspect_attempts,
    urls,
)
from dispatch_service.storage.warehouse_lists import made_for_warehouses
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

BATCH = 500

OWNERS = 1000
"""
How many owners one query returns.
"""

REQUEST_IDS_FOR = timedelta(days=1)


class AgeIndex(NamedTuple):
    """
    The columns of an index of rows by owner, or account, and time.
    """

    owner: sa.Column[Any]
    time: sa.Column[Any]


@dataclass(frozen=True, slots=True)
class Retention:
    """
    How long events and payloads, the log, and the ids of events are kept.
    """

    payloads: timedelta = timedelta(days=30)
    log: timedelta = timedelta(days=90)
    event_keys: timedelta = timedelta(days=35)


@dataclass(frozen=True, slots=True)
class Cutoff:
    """
    The *age* from which rows are deleted.

    Rows older than *pruned* were handled by an earlier run, None if there was none. Events stay
    that a warehouse still needs, if *warehouses_keep_longer* than the account of the event.
    """

    age: timedelta
    pruned: timedelta | None = None
    warehouses_keep_longer: bool = True


async def oldest_of(db: AsyncConnection, index: AgeIndex, last: Any | None) -> Sequence[Any]:
    """
    Return the next owners of a table, each with the time of its oldest row and the database's
    now: at most `OWNERS`, those that come after *last*.
    """
    owner, time = index
    first = sa.select(sa.func.min(owner).label("owner"), sa.literal(1).label("turn"))
    if last is not None:
        first = first.where(owner > last)
    walk = first.cte("walk", recursive=True)
    following = sa.select(sa.func.min(owner)).where(owner > walk.c.owner).scalar_subquery()
    goes_on = sa.and_(walk.c.owner.is_not(None), walk.c.turn < OWNERS)
    walk = walk.union_all(sa.select(following, walk.c.turn + 1).where(goes_on))
    oldest = sa.select(sa.func.min(time)).where(owner == walk.c.owner).scalar_subquery()
    query = sa.select(walk.c.owner, oldest, database_now()).where(walk.c.owner.is_not(None))
    return (await db.execute(query)).all()


async def prune_bodies(db: AsyncConnection, owner: str, cutoff: Cutoff) -> int:
    """
    Delete old payloads of an owner that no unfinished delivery needs.
    """
    same = ("owner", "account", "event_id", "event_type", "payload_version")
    old = _older(bodies, bodies.c.owner == owner, bodies.c.create_time, cutoff.age)
    needed = sa.exists().where(
        *(deliveries.c[name] == bodies.c[name] for name in same),
        sa.or_(deliveries.c.end_time.is_(None), deliveries.c.due_time.is_not(None)),
    )
    return await _delete(db, bodies, old.where(~needed))


async def prune_payloads(db: AsyncConnection, account: int, cutoff: Cutoff) -> int:
    """
    Clear the content of an account's old events that were matched. The hash of the customer's
    e-mail address stays: by it an erasure finds what others keep for longer.
    """
    kept = sa.and_(events.c.account == account, events.c.sealed_payload.is_not(None))
    if cutoff.pruned is not None:
        kept = sa.and_(kept, events.c.accept_time > after(-cutoff.pruned))
    old = _older(events, kept, events.c.accept_time, cutoff.age)
    keys = (await db.execute(old.where(events.c.match_state == "MATCHED"))).all()
    if keys:
        await db.execute(
            sa.update(events).where(_in_batch(events, keys)).values(sealed_payload=None)
        )
    return len(keys)


async def prune_events(db: AsyncConnection, account: int, cutoff: Cutoff) -> int:
    """
    Delete an account's old events, except those of which a warehouse still keeps something:
    an erasure finds that by the event.
    """
    mine = sa.and_(events.c.account == account, events.c.match_state == "MATCHED")
    old = _older(events, mine, events.c.accept_time, cutoff.age)
    if cutoff.warehouses_keep_longer:
        # This condition reads all events that are kept, so it is used only where it may hold.
        old = old.where(~_kept_by_warehouses(db.dialect.name))
    return await _delete(db, events, old)


def _kept_by_warehouses(dialect: str) -> sa.ColumnElement[bool]:
    return sa.or_(made_for_warehouses(deliveries, dialect), made_for_warehouses(bodies, dialect))


async def prune_attempts(db: AsyncConnection, owner: str, cutoff: Cutoff) -> int:
    """
    Delete old attempts of an owner's finished deliveries.
    """
    old = _older(attempts, attempts.c.owner == owner, attempts.c.start_time, cutoff.age)
    unfinished = sa.exists().where(
        deliveries.c.owner == attempts.c.owner,
        deliveries.c.delivery_id == attempts.c.delivery_id,
        _unfinished(),
    )
    return await _delete(db, attempts, old.where(~unfinished))


async def prune_deliveries(db: AsyncConnection, owner: str, cutoff: Cutoff) -> int:
    """
    Delete old finished deliveries of an owner, with what is left of their attempts. One stays as
    long as the content of its event, so that a replay does not make it once more.
    """
    same = (events.c.account == deliveries.c.account, events.c.event_id == deliveries.c.event_id)
    replayable = sa.exists().where(*same, events.c.sealed_payload.is_not(None))
    mine = sa.and_(deliveries.c.owner == owner, ~_unfinished(), ~replayable)
    old = _older(deliveries, mine, deliveries.c.create_time, cutoff.age)
    keys = (await db.execute(old)).all()
    if not keys:
        return 0
    logged = in_keys([attempts.c.owner, attempts.c.delivery_id], [tuple(row) for row in keys])
    await db.execute(sa.delete(attempts).where(logged))
    await db.execute(sa.delete(deliveries).where(_in_batch(deliveries, keys)))
    return len(keys)


async def prune_event_keys(db: AsyncConnection, keep: timedelta) -> int:
    """
    Delete the ids of old events of which no row is left.
    """
    shown = sa.exists().where(
        events.c.account == event_keys.c.account, events.c.event_id == event_keys.c.event_id
    )
    old = _older(event_keys, ~shown, event_keys.c.accept_time, keep)
    return await _delete(db, event_keys, old)


async def prune_request_ids(db: AsyncConnection) -> int:
    """
    Delete request ids that are older than a day.
    """
    old = _older(request_ids, sa.true(), request_ids.c.create_time, REQUEST_IDS_FOR)
    return await _delete(db, request_ids, old)


async def prune_jobs(db: AsyncConnection, keep: timedelta) -> int:
    """
    Delete old jobs that have ended.
    """
    count = 0
    for jobs in (resend_jobs, replay_jobs):
        ended = jobs.c.end_time.is_not(None)
        count += await _delete(db, jobs, _older(jobs, ended, jobs.c.create_time, keep))
    return count


async def prune_figures(db: AsyncConnection, unit: Unit) -> int:
    """
    Delete old figures of the periods of *unit*.
    """
    of_unit = attempt_figures.c.unit == unit
    old = _older(attempt_figures, of_unit, attempt_figures.c.start_time, unit.kept)
    return await _delete(db, attempt_figures, old)


async def prune_suspect_attempts(db: AsyncConnection, keep: timedelta) -> int:
    """
    Delete old attempts of suspects, which others have left.
    """
    old = _older(suspect_attempts, sa.true(), suspect_attempts.c.start_time, keep)
    return await _delete(db, suspect_attempts, old)


async def prune_urls(
    db: AsyncConnection, configured: Collection[tuple[str, bytes]], keep: timedelta
) -> int:
    """
    Delete old URLs that no attempt names, but none of those *configured* now, which count as new
    again. Return how many rows were looked at.
    """
    named = sa.exists().where(
        attempts.c.owner == urls.c.owner, attempts.c.url_hash == urls.c.url_hash
    )
    found = (await db.execute(_older(urls, ~named, urls.c.update_time, keep))).all()
    for key in found:
        same = (urls.c.owner == key.owner, urls.c.url_hash == key.url_hash)
        change: sa.Update | sa.Delete = sa.delete(urls)
        if tuple(key) in configured:
            change = sa.update(urls).values(update_time=database_now())
        await db.execute(change.where(*same))
    return len(found)


def _unfinished() -> sa.ColumnElement[bool]:
    # A forced resend is due although the delivery has ended.
    return sa.or_(deliveries.c.end_time.is_(None), deliveries.c.due_time.is_not(None))


def _older(
    table: sa.Table,
    condition: sa.ColumnElement[bool],
    time: sa.Column[Any],
    keep: timedelta,
) -> sa.Select[Any]:
    """
    Select the keys of a batch of old rows, without those that another process is deleting.
    """
    return (
        sa.select(*table.primary_key.columns)
        .where(condition, time < after(-keep))
        .limit(BATCH)
        .with_for_update(skip_locked=True, of=table)
    )


async def _delete(db: AsyncConnection, table: sa.Table, old: sa.Select[Any]) -> int:
    keys = (await db.execute(old)).all()
    if keys:
        await db.execute(sa.delete(table).where(_in_batch(table, keys)))
    return len(keys)


def _in_batch(table: sa.Table, keys: Sequence[Any]) -> sa.ColumnElement[bool]:
    return in_keys(list(table.primary_key.columns), [tuple(row) for row in keys])

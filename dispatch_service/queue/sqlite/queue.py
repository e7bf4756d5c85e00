"""
The queue on SQLite: the same operations as short write transactions of the
one process that has the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from dispatch_service.domain.transitions import State
from dispatch_service.domain.work import (
    Claimed,
    Ended,
    EndpointKey,
    EventKey,
    Lease,
    LeaseKey,
    NewEvent,
    Receipt,
    Release,
    Requeue,
    Settlement,
    Suspend,
)
from dispatch_service.queue import layouts, moves, sequences
from dispatch_service.queue.protocol import MOST_ENDPOINTS, START, OnSettled
from dispatch_service.queue.releases import inactive_still, release_each
from dispatch_service.queue.sqlite import inserts
from dispatch_service.queue.sqlite import statements as sql
from dispatch_service.queue.sqlite.claim_walk import Full, Take, around, take_all
from dispatch_service.queue.sqlite.execution import (
    database_time,
    execute_many,
    row_reader,
)
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import micros
from service_runtime.process.failpoints import reach

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Held = Mapping[LeaseKey, Any]
"""
The deliveries whose lease is still held.
"""

_JSON = msgspec.json.Encoder()

_settlement_row = row_reader(layouts.SETTLEMENT)
_delivery_row = row_reader({**layouts.LEASE_KEY, **layouts.OF_DELIVERY})
_attempt_row = row_reader(layouts.ATTEMPT)
_late_row = row_reader(layouts.LATE)
_requeue_row = row_reader(layouts.REQUEUE)
_suspend_row = row_reader(layouts.SUSPEND)


class SqliteQueue:
    """
    The queue of the one dispatch process on SQLite.
    """

    def __init__(self, engine: AsyncEngine, *, most_endpoints: int = MOST_ENDPOINTS) -> None:
        self._engine = engine
        self._most_endpoints = most_endpoints
        self._after: EndpointKey = START

    async def close(self) -> None:
        """
        Do nothing: nothing is kept.
        """

    async def end_leases(self) -> None:
        """
        Let every lease expire now. Call this at the start: the deliveries that a crash left
        leased need not wait for the ends of their leases, since no other process is alive.
        """
        leased = sa.and_(deliveries.c.lease_owner.is_not(None), deliveries.c.due_time.is_not(None))
        update = sa.update(deliveries).where(leased).values(moves.END_LEASE.values())
        async with writing(self._engine) as db:
            await db.execute(update)

    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new; see `Queue`.
        """
        async with writing(self._engine) as db:
            receipts = await inserts.insert(db, group, lease)
            reach("publish.before_commit")
        return receipts

    async def insert_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store events in an open transaction; see `Queue`.
        """
        return await inserts.insert(db, group, lease)

    async def insert_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store the bodies and deliveries of events that waited; see `Queue`.
        """
        async with writing(self._engine) as db:
            receipts = await inserts.insert_matches(db, group, lease)
            reach("match.mid_fanout")
        return receipts

    async def insert_missing(self, group: Sequence[NewEvent], lease: Lease) -> int:
        """
        Store the deliveries of *group* that stored events lack; see `Queue`.
        """
        async with writing(self._engine) as db:
            return await inserts.insert_missing(db, group, lease)

    async def insert_missing_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> int:
        """
        Store missing deliveries in an open transaction; see `Queue`.
        """
        return await inserts.insert_missing(db, group, lease)

    async def claim(
        self,
        lease: Lease,
        *,
        limit: int,
        per_endpoint: int,
        full: Collection[EndpointKey],
        full_owners: Collection[str] = (),
        held: Collection[str] = (),
    ) -> Sequence[Claimed]:
        """
        Lease due deliveries; see `Queue`.
        """
        async with reading(self._engine) as db:
            unwanted = Full(full, full_owners)
            walk = await around(db, self._after, unwanted, self._most_endpoints, limit)
        self._after = walk.ended
        wanted = Take(limit, per_endpoint, _JSON.encode(list(held)).decode())
        claimed, ended = await take_all(self._engine, walk.due, lease, wanted)
        if ended is not None:
            self._after = ended
        return claimed

    async def settle(
        self, settlements: Sequence[Settlement], on_settled: OnSettled | None = None
    ) -> Ended:
        """
        End leases with results, and write the attempts; see `Queue`.
        """
        async with writing(self._engine) as db:
            now = await database_time(db)
            held = await _held(db, settlements)
            counted = [it for it in settlements if it.claimed.key in held]
            settled = [{**_settlement_row(it), "now": now} for it in counted]
            await execute_many(db, sql.SETTLE, settled)
            await _write_attempts(db, counted, held, now)
            ended = [it for it in counted if it.transition.delay is None]
            ended += [it for it in counted if held[it.claimed.key].cancelled_by]
            rows = [held[it.claimed.key] for it in ended]
            rows += await _record_late(db, settlements, held, now)
            failed = [held[it.claimed.key] for it in ended if _fails(it, held)]
            unblocked = await sequences.advance(
                db, sequences.keys_of(rows), sequences.keys_of(failed)
            )
            if on_settled is not None:
                await on_settled(db, counted)
            reach("settle.before_commit")
        return Ended(_lost(settlements, held), unblocked)

    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        End leases as if their attempts had not started; see `Queue`.
        """
        return await release_each(releases, self._suspend, self._requeue)

    async def _suspend(self, suspends: Sequence[Suspend]) -> tuple[Ended, list[Suspend]]:
        async with writing(self._engine) as db:
            unchanged, changed = await inactive_still(db, suspends)
            rows = [_suspend_row(it) for it in unchanged]
            return await _release(db, unchanged, sql.SUSPEND_LEASE, rows), changed

    async def _requeue(self, requeues: Sequence[Requeue]) -> Ended:
        rows = [_requeue_row(it) for it in requeues]
        async with writing(self._engine) as db:
            return await _release(db, requeues, sql.REQUEUE_LEASE, rows)


async def _release(
    db: AsyncConnection,
    releases: Sequence[Release],
    statement: sa.TextClause,
    rows: Sequence[Mapping[str, Any]],
) -> Ended:
    now = await database_time(db)
    held = await _held(db, releases)
    await execute_many(db, statement, [{**row, "now": now} for row in rows])
    cancelled = [it for it in held.values() if it.cancelled_by]
    unblocked = await sequences.advance(db, sequences.keys_of(cancelled))
    return Ended(_lost(releases, held), unblocked)


async def _held(db: AsyncConnection, ends: Sequence[Settlement | Release]) -> Held:
    """
    Find the deliveries whose lease is still held.
    """
    leases = _JSON.encode([it.claimed.key for it in ends]).decode()
    rows = await db.execute(sql.HELD, {"leases": leases})
    return {(row.owner, row.delivery_id, row.lease_token): row for row in rows}


def _lost(ends: Iterable[Settlement | Release], held: Held) -> frozenset[LeaseKey]:
    return frozenset(it.claimed.key for it in ends if it.claimed.key not in held)


async def _write_attempts(
    db: AsyncConnection, settlements: Sequence[Settlement], held: Held, now: int
) -> None:
    """
    Write the attempts of *settlements*, whose leases are held, in the log.
    """
    attempted = [it for it in settlements if it.attempt is not None]
    logged = [_logged(it, held[it.claimed.key], now) for it in attempted]
    await execute_many(db, sql.INSERT_ATTEMPT, logged)


async def _record_late(
    db: AsyncConnection, settlements: Sequence[Settlement], held: Held, now: int
) -> list[sa.Row[Any]]:
    """
    Record the outcomes of attempts whose lease was lost, and end what they confirmed; return
    the rows of what was ended.
    """
    late = [it for it in settlements if it.attempt is not None and it.claimed.key not in held]
    error = {"interrupted_error": layouts.INTERRUPTED_ERROR}
    await execute_many(db, sql.RECORD_LATE, [{**_late_row(it), **error} for it in late])
    rows: list[sa.Row[Any]] = []
    for it in late:
        if it.confirms:
            rows += await db.execute(sql.CONFIRM_LATE, {**_late_row(it), "now": now})
    return rows


def _logged(settlement: Settlement, delivery: Any, now: int) -> dict[str, Any]:
    # A delivery that was cancelled during its attempt has no next one.
    delay = None if delivery.cancelled_by else settlement.transition.delay
    next_us = None if delay is None else micros(delay)
    row = {**_delivery_row(settlement), **_attempt_row(settlement.attempt)}
    return {**row, "delay_us": next_us, "now": now}


def _fails(settlement: Settlement, held: Held) -> bool:
    failed = settlement.transition.state is State.FAILED
    return failed and held[settlement.claimed.key].state == State.DELIVERING

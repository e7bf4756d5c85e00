"""
The queue on SQLite: the same operations as short write transactions of the
one process that has the file. Instants are integer microseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

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
    Settlement,
)
from dispatch_service.queue import sequences, suspend_checks
from dispatch_service.queue import sqlite_sql as sql
from dispatch_service.queue.columns import (
    ATTEMPT,
    BODY,
    DELIVERY,
    EVENT,
    LANE_COUNT,
    LATE,
    RELEASE,
    SETTLEMENT,
)
from dispatch_service.queue.protocol import MOST_ENDPOINTS, START, Follow
from dispatch_service.queue.rows import (
    INTERRUPTED_ERROR,
    attempt_row,
    body_rows,
    delivery_rows,
    event_row,
    fresh_receipt,
    late_row,
    micros,
    release_row,
    settlement_row,
)
from dispatch_service.queue.sequences import Place
from dispatch_service.queue.sqlite_claims import around, take
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import from_microseconds, to_microseconds
from service_runtime.process.failpoints import reach

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


async def _now(db: AsyncConnection) -> int:
    return int((await db.execute(sql.NOW)).scalar_one())


def _named(spec: Mapping[str, str], row: Sequence[Any], **more: object) -> dict[str, Any]:
    return {**dict(zip(spec, row, strict=True)), **more}


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

    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new; see `Queue`.
        """
        async with writing(self._engine) as db:
            receipts = await self.insert_into(db, group, lease)
            reach("publish.before_commit")
        return receipts

    async def insert_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store events in an open transaction; see `Queue`.
        """
        keys = msgspec.json.encode([event.key for event in group]).decode()
        receipts = {
            (account, event_id): Receipt(from_microseconds(accepted), sha256, fresh=False)
            for account, event_id, accepted, sha256 in await db.execute(sql.KNOWN, {"keys": keys})
        }
        now = await _now(db)
        fresh = [event for event in group if event.key not in receipts]
        stored = [_named(EVENT, event_row(it, to_microseconds), now=now) for it in fresh]
        await _insert(db, sql.STORE_KEY, stored)
        await _insert(db, sql.STORE_EVENT, stored)
        accepted = {it.key: now for it in fresh}
        return receipts | await _store_following(db, fresh, lease, now, accepted)

    async def insert_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store what follows from events that waited; see `Queue`.
        """
        keys = msgspec.json.encode([event.key for event in group]).decode()
        async with writing(self._engine) as db:
            now = await _now(db)
            rows = await db.execute(sql.UNMATCHED, {"keys": keys})
            accept_times = {(account, event_id): accepted for account, event_id, accepted in rows}
            fresh = [event for event in group if event.key in accept_times]
            receipts = await _store_following(db, fresh, lease, now, accept_times)
            reach("match.mid_fanout")
        return receipts

    async def claim(
        self, lease: Lease, *, limit: int, per_endpoint: int, full: Collection[EndpointKey]
    ) -> Sequence[Claimed]:
        """
        Take due deliveries; see `Queue`.
        """
        async with reading(self._engine) as db:
            walk = await around(db, self._after, full, self._most_endpoints, limit)
        self._after = walk.ended
        return await self._take(walk.due, lease, limit, per_endpoint) if walk.due else []

    async def _take(
        self, due: Sequence[EndpointKey], lease: Lease, limit: int, per_endpoint: int
    ) -> Sequence[Claimed]:
        claimed: list[Claimed] = []
        async with writing(self._engine) as db:
            now = await _now(db)
            for endpoint in due:
                room = min(per_endpoint, limit - len(claimed))
                claimed += await take(db, endpoint, lease, now, room)
                if len(claimed) >= limit:
                    self._after = endpoint
                    break
        return claimed

    async def settle(
        self, settlements: Sequence[Settlement], follow: Follow | None = None
    ) -> Ended:
        """
        End leases and write the attempts; see `Queue`.
        """
        async with writing(self._engine) as db:
            now = await _now(db)
            held = await _held(db, [it.claimed for it in settlements])
            counted = [it for it in settlements if it.claimed.key in held]
            rows = [_named(SETTLEMENT, settlement_row(it), now=now) for it in counted]
            await _insert(db, sql.SETTLE, rows)
            attempted = [it for it in settlements if it.attempt is not None]
            logged = [_logged(it, now) for it in attempted if it.claimed.key in held]
            await _insert(db, sql.LOG, logged)
            late = [_late(it) for it in attempted if it.claimed.key not in held]
            await _insert(db, sql.NOTE_LATE, late)
            ended = [it.claimed for it in counted if it.transition.delay is None]
            ended += [it.claimed for it in counted if held[it.claimed.key].cancelled_by]
            unblocked = await _free(db, [held[it.key] for it in ended])
            if follow is not None:
                await follow(db, counted)
            reach("settle.before_commit")
        return Ended(_lost((it.claimed for it in settlements), held), unblocked)

    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        Let leases go; see `Queue`.
        """
        async with writing(self._engine) as db:
            now = await _now(db)
            held = await _held(db, [it.claimed for it in releases])
            checked = await suspend_checks.checked(db, releases)
            rows = [_named(RELEASE, release_row(it), now=now) for it in checked]
            await _insert(db, sql.RELEASE_LEASES, rows)
            unblocked = await _free(db, [it for it in held.values() if it.cancelled_by])
        return Ended(_lost((it.claimed for it in releases), held), unblocked)


async def _held(db: AsyncConnection, leases: Sequence[Claimed]) -> dict[LeaseKey, Any]:
    """
    Find the deliveries whose lease is still held.
    """
    keys = [it.key for it in leases]
    rows = await db.execute(sql.HELD, {"leases": msgspec.json.encode(keys).decode()})
    return {(row.owner, row.delivery_id, row.lease_token): row for row in rows}


def _lost(leases: Iterable[Claimed], held: Mapping[LeaseKey, Any]) -> frozenset[LeaseKey]:
    return frozenset(it.key for it in leases if it.key not in held)


async def _free(db: AsyncConnection, ended: Sequence[Any]) -> int:
    """
    Let what waited behind deliveries that have ended be due.
    """
    lanes = [
        (it.owner, it.subscription, it.resource) for it in ended if it.sequence_position is not None
    ]
    return await sequences.advance(db, lanes) if lanes else 0


async def _insert(
    db: AsyncConnection, statement: sa.TextClause, rows: Sequence[Mapping[str, Any]]
) -> None:
    if rows:
        # The driver reads `:name` itself: going by it spares laying out each row anew.
        await db.exec_driver_sql(statement.text, list(rows))


async def _store_following(
    db: AsyncConnection,
    events: Sequence[NewEvent],
    lease: Lease,
    now: int,
    accept_times: Mapping[EventKey, int],
) -> dict[EventKey, Receipt]:
    """
    Insert the bodies and deliveries of *events*.
    """
    places = await _take_places(db, events)
    leased = {"now": now, "lease_owner": lease.owner, "lease_us": micros(lease.duration)}
    bodies = [
        _named(BODY, row, accept_time=accept_times[event.key])
        for event in events
        for row in body_rows(event)
    ]
    deliveries = [
        _named(DELIVERY, row, **_of_event(event), accept_time=accept_times[event.key], **leased)
        for event in events
        for row in delivery_rows(event, places)
    ]
    await _insert(db, sql.STORE_BODY, bodies)
    await _insert(db, sql.STORE_DELIVERY, deliveries)
    return {
        it.key: fresh_receipt(it, from_microseconds(accept_times[it.key]), places) for it in events
    }


def _of_event(event: NewEvent) -> dict[str, Any]:
    """
    Return what the rows of deliveries repeat of their event.
    """
    return {
        "resource": event.resource,
        "sequence": event.sequence,
        "occurred_at": to_microseconds(event.occurred_at),
    }


async def _take_places(db: AsyncConnection, events: Sequence[NewEvent]) -> dict[str, Place]:
    heads = {}
    for key, wanted in sequences.wanted(events).items():
        row = _named(LANE_COUNT, (*key, wanted))
        first, head = (await db.execute(sql.TAKE_NUMBERS, row)).one()
        heads[key] = (first, head)
    return sequences.places(events, heads)


def _logged(settlement: Settlement, now: int) -> dict[str, Any]:
    delay = settlement.transition.delay
    delay_us = None if delay is None else micros(delay)
    return _named(ATTEMPT, attempt_row(settlement, to_microseconds), now=now, delay_us=delay_us) | {
        name: getattr(settlement.claimed, name)
        for name in (
            "account",
            "event_id",
            "subscription",
            "event_type",
            "payload_version",
            "resource",
        )
    }


def _late(settlement: Settlement) -> dict[str, Any]:
    return _named(LATE, late_row(settlement), interrupted_error=INTERRUPTED_ERROR)

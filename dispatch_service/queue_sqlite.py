"""
The queue on SQLite: the same operations as short write transactions of the
one process that has the file. Instants are integer microseconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from dispatch_service import queue_sqlite_sql as sql
from dispatch_service.queue import (
    Claimed,
    EndpointKey,
    EventKey,
    Follow,
    Lease,
    NewEvent,
    Receipt,
    Release,
    Settlement,
)
from dispatch_service.queue_rows import (
    ATTEMPT,
    BODY,
    DELIVERY,
    EVENT,
    INTERRUPTED_ERROR,
    RELEASE,
    SETTLEMENT,
    attempt_row,
    body_rows,
    claimed_from,
    delivery_rows,
    event_row,
    micros,
    release_row,
    settlement_row,
)
from shipedge.webhooks.runtime.database import (
    from_microseconds,
    to_microseconds,
    writing,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_START: EndpointKey = ("", "")


async def _now(db: AsyncConnection) -> int:
    return int((await db.execute(sql.NOW)).scalar_one())


def _named(spec: Mapping[str, str], row: Sequence[Any], **more: object) -> dict[str, Any]:
    return {**dict(zip(spec, row, strict=True)), **more}


class SqliteQueue:
    """
    The queue of the one dispatch process on SQLite.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._after: EndpointKey = _START

    async def store_events(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new; see `Queue`.
        """
        async with writing(self._engine) as db:
            return await self.store_on(db, group, lease)

    async def store_on(
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
        await _insert_following(db, fresh, lease, now, {it.key: now for it in fresh})
        accept_time: datetime = from_microseconds(now)
        return receipts | {it.key: Receipt(accept_time, it.sha256, fresh=True) for it in fresh}

    async def store_matches(
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
            await _insert_following(db, fresh, lease, now, accept_times)
        return {
            it.key: Receipt(from_microseconds(accept_times[it.key]), it.sha256, fresh=True)
            for it in fresh
        }

    async def claim(
        self, lease: Lease, *, limit: int, per_endpoint: int, full: Collection[EndpointKey]
    ) -> Sequence[Claimed]:
        """
        Take due deliveries; see `Queue`.
        """
        claimed: list[Claimed] = []
        async with writing(self._engine) as db:
            now = await _now(db)
            async for endpoint in _once_around(db, self._after):
                self._after = endpoint
                if endpoint not in full:
                    room = min(per_endpoint, limit - len(claimed))
                    claimed += await _take(db, endpoint, lease, now, room)
                if len(claimed) >= limit:
                    break
            else:
                self._after = _START
        return claimed

    async def settle(
        self, settlements: Sequence[Settlement], follow: Follow | None = None
    ) -> Collection[tuple[str, str]]:
        """
        End leases and write the attempts; see `Queue`.
        """
        leases = [
            (it.claimed.owner, it.claimed.delivery_id, it.claimed.token) for it in settlements
        ]
        async with writing(self._engine) as db:
            now = await _now(db)
            rows = await db.execute(sql.HELD, {"leases": msgspec.json.encode(leases).decode()})
            held = {(owner, delivery_id) for owner, delivery_id in rows}
            ended = [it for it in settlements if it.claimed.key in held]
            if ended:
                await db.execute(
                    sql.SETTLE, [_named(SETTLEMENT, settlement_row(it), now=now) for it in ended]
                )
            attempted = [it for it in ended if it.attempt is not None]
            if attempted:
                await db.execute(sql.LOG, [_logged(it, now) for it in attempted])
            if follow is not None:
                await follow(db, ended)
        return held

    async def release(self, releases: Sequence[Release]) -> None:
        """
        Let leases go; see `Queue`.
        """
        async with writing(self._engine) as db:
            now = await _now(db)
            await db.execute(
                sql.LET_GO, [_named(RELEASE, release_row(it), now=now) for it in releases]
            )


async def _insert(
    db: AsyncConnection, statement: sa.TextClause, rows: Sequence[Mapping[str, Any]]
) -> None:
    if rows:
        await db.execute(statement, rows)


async def _insert_following(
    db: AsyncConnection,
    events: Sequence[NewEvent],
    lease: Lease,
    now: int,
    accept_times: Mapping[EventKey, int],
) -> None:
    """
    Insert the bodies and deliveries of *events*.
    """
    leased = {"now": now, "lease_owner": lease.owner, "lease_us": micros(lease.duration)}
    bodies = [
        _named(BODY, row, accept_time=accept_times[event.key])
        for event in events
        for row in body_rows(event)
    ]
    deliveries = [
        _named(DELIVERY, row, accept_time=accept_times[event.key], **leased)
        for event in events
        for row in delivery_rows(event, to_microseconds)
    ]
    await _insert(db, sql.STORE_BODY, bodies)
    await _insert(db, sql.STORE_DELIVERY, deliveries)


async def _once_around(db: AsyncConnection, after: EndpointKey) -> AsyncIterator[EndpointKey]:
    """
    Walk over the endpoints with leased or waiting rows, beginning behind *after*.
    """
    at, wrapped = after, after == _START
    while True:
        found = await _next_endpoint(db, at)
        if found is None and not wrapped:
            at, wrapped = _START, True
        elif found is None or (wrapped and _START != after < found):
            return
        else:
            at = found
            yield found


async def _next_endpoint(db: AsyncConnection, after: EndpointKey) -> EndpointKey | None:
    row = (
        await db.execute(sql.NEXT_ENDPOINT, {"owner": after[0], "endpoint": after[1]})
    ).one_or_none()
    return None if row is None else (row.owner, row.endpoint)


async def _take(
    db: AsyncConnection, endpoint: EndpointKey, lease: Lease, now: int, limit: int
) -> list[Claimed]:
    place = {"owner": endpoint[0], "endpoint": endpoint[1], "now": now, "per_endpoint": limit}
    rows = (await db.execute(sql.PICK, place)).mappings().all()
    if not rows:
        return []
    cut_off = [_interrupted(row, lease, now) for row in rows if row["lease_owner"] is not None]
    if cut_off:
        await db.execute(sql.CUT_OFF, cut_off)
    taken = [_taken(row, lease, now) for row in rows]
    await db.execute(sql.TAKE, taken)
    return [_claimed(row, update) for row, update in zip(rows, taken, strict=True)]


def _interrupted(row: Mapping[Any, Any], lease: Lease, now: int) -> dict[str, Any]:
    return {
        **row,
        "number": row["begun"],
        "attempt_trigger": row["next_trigger"],
        "error": INTERRUPTED_ERROR,
        "start_time": row["due_time"] - micros(lease.duration),
        "now": now,
    }


def _taken(row: Mapping[Any, Any], lease: Lease, now: int) -> dict[str, Any]:
    over = row["lease_owner"] is not None
    return {
        "owner": row["owner"],
        "delivery_id": row["delivery_id"],
        "lease_owner": lease.owner,
        "lease_token": row["lease_token"] + 1,
        "lease_us": micros(lease.duration),
        "now": now,
        "begun": row["begun"] + 1,
        "interrupted": row["interrupted"] + (1 if over else 0),
        "next_trigger": "RETRY" if over else row["next_trigger"],
    }


def _claimed(row: Mapping[Any, Any], update: Mapping[str, Any]) -> Claimed:
    state = row["state"] if row["end_time"] is not None else "DELIVERING"
    after = {**row, **update, "state": state}
    return claimed_from(_Row(after), from_microseconds)


class _Row:
    """
    A mapping that is read by attributes, as rows of the database are.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


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

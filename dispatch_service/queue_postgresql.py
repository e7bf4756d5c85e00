"""
The queue on PostgreSQL: each operation is one statement over arrays, so that
its cost is shared by everything in the group.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service import queue_postgresql_sql as sql
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
    ENDPOINT_KEY,
    EVENT,
    EVENT_KEY,
    INTERRUPTED_ERROR,
    RELEASE,
    SETTLEMENT,
    attempt_row,
    body_rows,
    claimed_from,
    delivery_hex,
    delivery_rows,
    event_row,
    micros,
    release_row,
    settlement_row,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


def _arrays(
    alias: str, spec: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> dict[str, list[Any]]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(spec)
    return {f"{alias}_{name}": list(values) for name, values in zip(spec, columns, strict=True)}


_START: EndpointKey = ("", "")


class PostgresQueue:
    """
    The queue of one dispatch process on PostgreSQL.
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
        async with self._engine.begin() as db:
            return await self.store_on(db, group, lease)

    async def store_on(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store events in an open transaction; see `Queue`.
        """
        # Key order keeps two replicas from waiting for each other.
        ordered = sorted(group, key=lambda event: event.key)
        rows = _arrays("e", EVENT, [event_row(event) for event in ordered])
        receipts = await _store(db, sql.STORE, rows, ordered, lease)
        known = [event.key for event in ordered if event.key not in receipts]
        if known:
            found = await db.execute(sql.KNOWN, _arrays("k", EVENT_KEY, known))
            receipts.update({(r[0], r[1]): Receipt(r[2], r[3], fresh=False) for r in found})
        return receipts

    async def store_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store what follows from events that waited; see `Queue`.
        """
        ordered = sorted(group, key=lambda event: event.key)
        rows = _arrays("e", EVENT_KEY, [event.key for event in ordered])
        async with self._engine.begin() as db:
            return await _store(db, sql.STORE_MATCHES, rows, ordered, lease)

    async def claim(
        self, lease: Lease, *, limit: int, per_endpoint: int, full: Collection[EndpointKey]
    ) -> Sequence[Claimed]:
        """
        Take due deliveries; see `Queue`.
        """
        parameters = {
            "lease_owner": lease.owner,
            "lease_us": micros(lease.duration),
            "per_endpoint": per_endpoint,
            "interrupted_error": INTERRUPTED_ERROR,
            **_arrays("full", ENDPOINT_KEY, list(full)),
        }
        begun_midway = self._after != _START
        claimed = await self._claim_on(parameters, limit)
        if begun_midway and len(claimed) < limit:
            claimed += await self._claim_on(parameters, limit - len(claimed))
        return claimed

    async def _claim_on(self, parameters: Mapping[str, Any], limit: int) -> list[Claimed]:
        """
        Claim from behind the last endpoint on, and remember where that ended.
        """
        owner, endpoint = self._after
        place = {"after_owner": owner, "after_endpoint": endpoint, "claim_limit": limit}
        async with self._engine.begin() as db:
            rows = await db.execute(sql.CLAIM, {**parameters, **place})
            claimed = [claimed_from(row) for row in rows]
        reached_end = len(claimed) < limit
        self._after = _START if reached_end else max(it.endpoint_key for it in claimed)
        return claimed

    async def settle(
        self, settlements: Sequence[Settlement], follow: Follow | None = None
    ) -> Collection[tuple[str, str]]:
        """
        End leases and write the attempts; see `Queue`.
        """
        attempted = [it for it in settlements if it.attempt is not None]
        parameters = {
            **_arrays("s", SETTLEMENT, [settlement_row(it) for it in settlements]),
            **_arrays("a", ATTEMPT, [attempt_row(it) for it in attempted]),
        }
        async with self._engine.begin() as db:
            rows = await db.execute(sql.SETTLE, parameters)
            held = {(owner, delivery_hex(delivery_id)) for owner, delivery_id in rows}
            if follow is not None:
                await follow(db, [it for it in settlements if it.claimed.key in held])
        return held

    async def release(self, releases: Sequence[Release]) -> None:
        """
        Let leases go; see `Queue`.
        """
        async with self._engine.begin() as db:
            await db.execute(
                sql.LET_GO, _arrays("r", RELEASE, [release_row(it) for it in releases])
            )


async def _store(
    db: AsyncConnection,
    statement: sa.TextClause,
    rows: Mapping[str, Any],
    events: Sequence[NewEvent],
    lease: Lease,
) -> dict[EventKey, Receipt]:
    parameters = {
        **rows,
        "lease_owner": lease.owner,
        "lease_us": micros(lease.duration),
        **_arrays("b", BODY, [row for event in events for row in body_rows(event)]),
        **_arrays("d", DELIVERY, [row for event in events for row in delivery_rows(event)]),
    }
    hashes = {event.key: event.sha256 for event in events}
    return {
        (account, event_id): Receipt(accept_time, hashes[account, event_id], fresh=True)
        for account, event_id, accept_time in await db.execute(statement, parameters)
    }

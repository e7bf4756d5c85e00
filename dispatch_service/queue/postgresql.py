"""
The queue on PostgreSQL: each operation is one statement over arrays, so that
its cost is shared by everything in the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.work import (
    Claimed,
    Ended,
    EndpointKey,
    EventKey,
    Lease,
    NewEvent,
    Receipt,
    Release,
    Settlement,
)
from dispatch_service.queue import postgresql_sql as sql
from dispatch_service.queue import sequences, suspend_checks
from dispatch_service.queue.columns import ATTEMPT, EVENT, EVENT_KEY, LATE, LEASE_KEY, RELEASE
from dispatch_service.queue.postgresql_store import arrays, insert_matches, store
from dispatch_service.queue.protocol import MOST_ENDPOINTS, START, Follow
from dispatch_service.queue.rows import (
    INTERRUPTED_ERROR,
    attempt_row,
    claimed_from,
    delivery_hex,
    event_row,
    late_row,
    micros,
    release_row,
    settlement_row,
)
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.pinned import PinnedConnections
from service_runtime.process.failpoints import reach

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class PostgresQueue:
    """
    The queue of one dispatch process on PostgreSQL.
    """

    def __init__(self, engine: AsyncEngine, *, most_endpoints: int = MOST_ENDPOINTS) -> None:
        self._engine = engine
        self._most_endpoints = most_endpoints
        self._at_once = PinnedConnections(engine)
        self._after: EndpointKey = START

    async def close(self) -> None:
        """
        Give connections back; see `Queue`.
        """
        await self._at_once.close()

    @retry_on_conflict
    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new; see `Queue`.
        """
        if sequences.wanted(group):
            async with self._engine.begin() as db:
                receipts = await self.insert_into(db, group, lease)
                reach("publish.before_commit")
            return receipts
        # One statement is a transaction of its own: that saves the trips to begin and end one.
        reach("publish.before_commit")
        async with self._at_once.use() as db:
            return await self.insert_into(db, group, lease)

    async def insert_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store events in an open transaction; see `Queue`.
        """
        # Key order keeps two replicas from waiting for each other.
        ordered = sorted(group, key=lambda event: event.key)
        rows = arrays("e", EVENT, [event_row(event) for event in ordered])
        receipts = await store(db, rows, group, lease)
        if len(receipts) < len(ordered):
            known = [event.key for event in ordered if event.key not in receipts]
            found = await db.execute(sql.KNOWN, arrays("k", EVENT_KEY, known))
            receipts.update({(r[0], r[1]): Receipt(r[2], r[3], fresh=False) for r in found})
        return receipts

    @retry_on_conflict
    async def insert_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store what follows from events that waited; see `Queue`.
        """
        ordered = sorted(group, key=lambda event: event.key)
        rows = arrays("e", EVENT_KEY, [event.key for event in ordered])
        async with self._engine.begin() as db:
            receipts = await insert_matches(db, rows, group, lease)
            reach("match.mid_fanout")
        return receipts

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
            "most_endpoints": self._most_endpoints,
            "interrupted_error": INTERRUPTED_ERROR,
            "full_owner": [owner for owner, _ in full],
            "full_endpoint": [endpoint for _, endpoint in full],
        }
        begun_midway = self._after != START
        claimed = await self._claim_on(parameters, limit)
        if begun_midway and self._after == START and len(claimed) < limit:
            claimed += await self._claim_on(parameters, limit - len(claimed))
        return claimed

    async def _claim_on(self, parameters: Mapping[str, Any], limit: int) -> list[Claimed]:
        """
        Claim from behind the last endpoint on, and remember where that ended.
        """
        owner, endpoint = self._after
        place = {"after_owner": owner, "after_endpoint": endpoint, "claim_limit": limit}
        async with self._engine.begin() as db:
            rows = (await db.execute(sql.CLAIM, {**parameters, **place})).all()
        taken = [row for row in rows if row.delivery_id is not None]
        if len(taken) == limit:
            # The database's order of names need not be ours.
            last = max(taken, key=lambda row: row.steps)
            self._after = (last.owner, last.endpoint)
        else:
            self._after = (rows[0].walked_owner or "", rows[0].walked_endpoint or "")
        return [claimed_from(row) for row in taken]

    @retry_on_conflict
    async def settle(
        self, settlements: Sequence[Settlement], follow: Follow | None = None
    ) -> Ended:
        """
        End leases and write the attempts; see `Queue`.
        """
        attempted = [it for it in settlements if it.attempt is not None]
        parameters = arrays("s", sql.SETTLED, _in_order(map(_settled_row, settlements)))
        lanes = sequences.of(it.claimed for it in settlements)
        if not lanes and follow is None:
            # One statement is a transaction of its own; what it lost is only noted.
            reach("settle.before_commit")
            async with self._at_once.use() as db:
                ended = await _end(db, sql.SETTLE, parameters)
                await _note_late(db, attempted, ended)
            return ended
        async with self._engine.begin() as db:
            await sequences.lock(db, lanes)
            ended = await _end(db, sql.SETTLE, parameters)
            await _note_late(db, attempted, ended)
            if follow is not None:
                await follow(db, [it for it in settlements if it.claimed.key not in ended.lost])
            reach("settle.before_commit")
        return ended

    @retry_on_conflict
    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        Let leases go; see `Queue`.
        """
        async with self._engine.begin() as db:
            releases = await suspend_checks.checked(db, releases)
            parameters = arrays("s", RELEASE, _in_order(map(release_row, releases)))
            await sequences.lock(db, sequences.of(it.claimed for it in releases))
            return await _end(db, sql.RELEASE_LEASES, parameters)


def _settled_row(settlement: Settlement) -> tuple[Any, ...]:
    if settlement.attempt is None:
        return settlement_row(settlement) + _NO_ATTEMPT
    return settlement_row(settlement) + attempt_row(settlement)[len(LEASE_KEY) :]


_NO_ATTEMPT = (None,) * (len(ATTEMPT) - len(LEASE_KEY))


def _in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # The rows are found, and so locked, in the order of the array.
    return sorted(rows, key=itemgetter(0, 1))


async def _end(
    db: AsyncConnection, statement: sa.TextClause, parameters: Mapping[str, Any]
) -> Ended:
    """
    Run a statement that ends leases, and let what waited behind them be due.
    """
    lost, lanes = set(), []
    for owner, delivery_id, token, subscription, resource in await db.execute(
        statement, parameters
    ):
        if delivery_id is None:
            lanes.append((owner, subscription, resource))
        else:
            lost.add((owner, delivery_hex(delivery_id), token))
    unblocked = await sequences.advance(db, lanes) if lanes else 0
    return Ended(frozenset(lost), unblocked)


async def _note_late(db: AsyncConnection, attempted: Sequence[Settlement], ended: Ended) -> None:
    if late := [late_row(it) for it in attempted if it.claimed.key in ended.lost]:
        noted = {**arrays("l", LATE, late), "interrupted_error": INTERRUPTED_ERROR}
        await db.execute(sql.NOTE_LATE, noted)

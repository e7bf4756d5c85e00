"""
The queue on PostgreSQL: each operation is one statement over arrays, so that
its cost is shared by everything in the group.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
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
    Requeue,
    Settlement,
    Suspend,
)
from dispatch_service.queue import layouts, sequences
from dispatch_service.queue.claimed import claimed_from, delivery_hex
from dispatch_service.queue.postgresql import inserts
from dispatch_service.queue.postgresql import statements as sql
from dispatch_service.queue.postgresql.inserts import arrays
from dispatch_service.queue.protocol import MOST_ENDPOINTS, START, OnSettled
from dispatch_service.queue.releases import inactive_still, release_each
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.instants import micros
from service_runtime.database.pinned import PinnedConnections
from service_runtime.observability.dispatch_metrics import LEASES_TAKEN_OVER
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
        Close the pinned connections; see `Queue`.
        """
        await self._at_once.close()

    @retry_on_conflict
    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new; see `Queue`.
        """
        if sequences.wanted(group):
            async with self._engine.begin() as db:
                receipts = await inserts.insert(db, group, lease)
                reach("publish.before_commit")
            return receipts
        # One statement is a transaction of its own: that saves the trips to begin and end one.
        reach("publish.before_commit")
        async with self._at_once.use() as db:
            return await inserts.insert(db, group, lease)

    async def insert_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store events in an open transaction; see `Queue`.
        """
        return await inserts.insert(db, group, lease)

    @retry_on_conflict
    async def insert_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store the bodies and deliveries of events that waited; see `Queue`.
        """
        async with self._engine.begin() as db:
            receipts = await inserts.insert_matches(db, group, lease)
            reach("match.mid_fanout")
        return receipts

    @retry_on_conflict
    async def insert_missing(self, group: Sequence[NewEvent], lease: Lease) -> int:
        """
        Store the deliveries of *group* that stored events lack; see `Queue`.
        """
        async with self._engine.begin() as db:
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
        parameters = {
            "lease_owner": lease.owner,
            "lease_us": micros(lease.duration),
            "per_endpoint": per_endpoint,
            "trusted_until": lease.trusted_until,
            "most_endpoints": self._most_endpoints,
            "interrupted_error": layouts.INTERRUPTED_ERROR,
            "full_owner": [owner for owner, _ in full],
            "full_endpoint": [endpoint for _, endpoint in full],
            "full_owners": list(full_owners),
            "held_ids": list(held),
        }
        started_midway = self._after != START
        claimed = await self._claim_on(parameters, limit)
        if started_midway and self._after == START and len(claimed) < limit:
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
        LEASES_TAKEN_OVER.add(count=sum(row.old_owner is not None for row in taken))
        if len(taken) == limit:
            # The database's order of names need not be ours.
            last = max(taken, key=lambda row: row.steps)
            self._after = (last.owner, last.endpoint)
        else:
            self._after = (rows[0].walked_owner or "", rows[0].walked_endpoint or "")
        return [claimed_from(row) for row in taken]

    @retry_on_conflict
    async def settle(
        self, settlements: Sequence[Settlement], on_settled: OnSettled | None = None
    ) -> Ended:
        """
        End leases with results, and write the attempts; see `Queue`.
        """
        parameters = _settled(settlements)
        keys = sequences.sequences_of(it.claimed for it in settlements)
        if not keys and on_settled is None:
            # One statement is a transaction of its own; what it lost is only recorded.
            reach("settle.before_commit")
            async with self._at_once.use() as db:
                ended = await _end(db, sql.SETTLE, parameters)
                ended += await _record_late(db, settlements, ended)
            return ended
        async with self._engine.begin() as db:
            await sequences.lock(db, keys)
            ended = await _end(db, sql.SETTLE, parameters)
            ended += await _record_late(db, settlements, ended)
            if on_settled is not None:
                await on_settled(db, [it for it in settlements if it.claimed.key not in ended.lost])
            reach("settle.before_commit")
        return ended

    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        End leases as if their attempts had not started; see `Queue`.
        """
        return await release_each(releases, self._suspend, self._requeue)

    @retry_on_conflict
    async def _suspend(self, suspends: Sequence[Suspend]) -> tuple[Ended, list[Suspend]]:
        async with self._engine.begin() as db:
            unchanged, changed = await inactive_still(db, suspends)
            if not unchanged:
                return Ended(), changed
            await sequences.lock(db, sequences.sequences_of(it.claimed for it in unchanged))
            parameters = arrays("s", layouts.SUSPEND, _in_order(unchanged))
            return await _end(db, sql.SUSPEND_LEASES, parameters), changed

    @retry_on_conflict
    async def _requeue(self, requeues: Sequence[Requeue]) -> Ended:
        parameters = arrays("s", layouts.REQUEUE, _in_order(requeues))
        async with self._engine.begin() as db:
            await sequences.lock(db, sequences.sequences_of(it.claimed for it in requeues))
            return await _end(db, sql.REQUEUE_LEASES, parameters)


def _settled(settlements: Sequence[Settlement]) -> dict[str, Any]:
    ordered = _in_order(settlements)
    attempts = [it.attempt for it in ordered]
    return {**arrays("s", layouts.SETTLEMENT, ordered), **arrays("s", sql.OF_ATTEMPT, attempts)}


def _in_order(ends: Sequence[Any]) -> list[Any]:
    # The rows are found, and so locked, in the order of the array.
    return sorted(ends, key=attrgetter("claimed.owner", "claimed.delivery_id"))


async def _end(
    db: AsyncConnection, statement: sa.TextClause, parameters: Mapping[str, Any]
) -> Ended:
    """
    Run a statement that ends leases, and advance the sequences in which a delivery has ended.
    """
    lost, ended = set(), {}
    for owner, delivery_id, token, subscription, resource, failed in await db.execute(
        statement, parameters
    ):
        if delivery_id is None:
            ended[owner, subscription, resource] = failed
        else:
            lost.add((owner, delivery_hex(delivery_id), token))
    failures = [key for key, failed in ended.items() if failed]
    unblocked = await sequences.advance(db, ended, failures) if ended else 0
    return Ended(frozenset(lost), unblocked)


async def _record_late(
    db: AsyncConnection, settlements: Sequence[Settlement], ended: Ended
) -> Ended:
    """
    Record the outcomes of attempts whose lease was lost, and end what they confirmed.
    """
    late = [it for it in settlements if it.attempt is not None and it.claimed.key in ended.lost]
    if not late:
        return Ended()
    error = {"interrupted_error": layouts.INTERRUPTED_ERROR}
    await db.execute(sql.RECORD_LATE, {**arrays("l", layouts.LATE, late), **error})
    confirmed = _in_order([it for it in late if it.confirms])
    if not confirmed:
        return Ended()
    rows = await db.execute(sql.CONFIRM_LATE, arrays("l", layouts.LATE, confirmed))
    return Ended(unblocked=await sequences.advance(db, sequences.keys_of(rows)))

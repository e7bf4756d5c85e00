"""
Storing events on PostgreSQL, each step one statement over arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.work import EventKey, Lease, NewEvent, Receipt
from dispatch_service.queue import layouts, missing, sequences
from dispatch_service.queue.postgresql import statements as sql
from dispatch_service.queue.sequences import UNORDERED, Position
from service_runtime.database.instants import micros

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


_KEY = attrgetter("account", "event_id")


def arrays(alias: str, columns: layouts.Columns, things: Sequence[Any]) -> dict[str, Any]:
    """
    Read an array of each column of *things*, with NULL where one is None; see `statements`.
    """
    parameters: dict[str, Any] = {f"{alias}_rows": len(things)}
    complete = all(things)  # nothing else is false
    for name, column in columns.items():
        read = column.read_raw if complete else _read_if_any(column.read_raw)
        values = list(map(read, things))
        # To convert and encode a value costs more than to compare it.
        if len(values) > 1 and values.count(values[0]) == len(values):
            values = values[:1]
        convert = column.convert
        parameters[f"{alias}_{name}"] = values if convert is None else list(map(convert, values))
    return parameters


def _read_if_any(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda thing: None if thing is None else read(thing)


async def insert(
    db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    """
    Store the events of *group* whose ids are new; return a receipt for each event of the group.
    """
    # Key order keeps two replicas from waiting for each other.
    ordered = sorted(group, key=_KEY)
    keys = arrays("e", layouts.EVENT, ordered)
    if sequences.wanted(group):
        accept_times = await _accept_times(db, sql.INSERT_KEYS, keys)
        receipts = await _insert_following(db, accept_times, group, lease)
    else:
        receipts = await _insert_at_once(db, keys, group, lease)
    if len(receipts) < len(ordered):
        known = [event for event in ordered if event.key not in receipts]
        found = await db.execute(sql.KNOWN, arrays("k", layouts.EVENT_KEY, known))
        receipts.update({(r[0], r[1]): Receipt(r[2], r[3], fresh=False) for r in found})
    return receipts


async def insert_matches(
    db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    """
    Store the bodies and deliveries of those of *group* that are still unmatched.
    """
    keys = arrays("e", layouts.EVENT_KEY, sorted(group, key=_KEY))
    if sequences.wanted(group):
        accept_times = await _accept_times(db, sql.MATCH_KEYS, keys)
        return await _insert_following(db, accept_times, group, lease)
    parameters = {**keys, **_leased(lease), **_following(group, {})}
    accept_times = await _accept_times(db, sql.INSERT_MATCHES, parameters)
    matched = [event for event in group if event.key in accept_times]
    return sequences.receipts(matched, accept_times, {})


async def insert_missing(db: AsyncConnection, group: Sequence[NewEvent], lease: Lease) -> int:
    """
    Store the deliveries of *group* that stored events lack; return how many.
    """
    lacking, accept_times = await missing.find(db, group)
    if lacking:
        await _insert_following(db, accept_times, lacking, lease, sql.INSERT_MISSING)
    return sum(len(event.deliveries) for event in lacking)


async def _insert_at_once(
    db: AsyncConnection, keys: Mapping[str, Any], events: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    parameters = {**keys, **_leased(lease), **_following(events, {})}
    (accept_time, _, _), *known = await db.execute(sql.INSERT, parameters)
    stored = {event.key: Receipt(accept_time, event.sha256, fresh=True) for event in events}
    for _, account, event_id in known:
        del stored[account, event_id]
    return stored


async def _accept_times(
    db: AsyncConnection, statement: sa.TextClause, parameters: Mapping[str, Any]
) -> dict[EventKey, datetime]:
    """
    Run a statement that returns the events which counted, with the times of their acceptance.
    """
    rows = await db.execute(statement, parameters)
    return {(account, event_id): accepted for account, event_id, accepted in rows}


def _leased(lease: Lease) -> dict[str, Any]:
    return {"lease_owner": lease.owner, "lease_us": micros(lease.duration)}


async def _insert_following(
    db: AsyncConnection,
    accept_times: Mapping[EventKey, datetime],
    events: Sequence[NewEvent],
    lease: Lease,
    statement: sa.TextClause = sql.INSERT_FOLLOWING,
) -> dict[EventKey, Receipt]:
    """
    Store the bodies and deliveries of those of *events* that have an acceptance time, the
    ordered deliveries at their positions.
    """
    fresh = [event for event in events if event.key in accept_times]
    positions = await _take_positions(db, fresh)
    stored = [layouts.StoredEvent(event, accept_times[event.key]) for event in fresh]
    following = {
        **arrays("f", layouts.FRESH, stored),
        **_leased(lease),
        **_following(fresh, positions),
    }
    await db.execute(statement, following)
    return sequences.receipts(fresh, accept_times, positions)


def _following(events: Sequence[NewEvent], positions: Mapping[str, Position]) -> dict[str, Any]:
    bodies = [layouts.StoredBody(event, body) for event in events for body in event.bodies]
    deliveries = [
        layouts.StoredDelivery(event, delivery, positions.get(delivery.delivery_id, UNORDERED))
        for event in events
        for delivery in event.deliveries
    ]
    return {**arrays("b", layouts.BODY, bodies), **arrays("d", layouts.DELIVERY, deliveries)}


async def _take_positions(db: AsyncConnection, events: Sequence[NewEvent]) -> dict[str, Position]:
    wanted = sequences.wanted(events)
    if not wanted:
        return {}
    counts = [(*key, count) for key, count in wanted.items()]
    taken = await db.execute(sql.TAKE_POSITIONS, arrays("l", layouts.SEQUENCE_COUNT, counts))
    heads = {}
    for owner, subscription, resource, following, head in taken:
        key = (owner, subscription, resource)
        heads[key] = (following - wanted[key], head)
    return sequences.positions(events, heads)

"""
What the queue on PostgreSQL stores of events, each step one statement over arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.work import EventKey, Lease, NewEvent, Receipt
from dispatch_service.queue import postgresql_sql as sql
from dispatch_service.queue import sequences
from dispatch_service.queue.columns import BODY, DELIVERY, LANE_COUNT
from dispatch_service.queue.rows import body_rows, delivery_rows, fresh_receipt, micros
from dispatch_service.queue.sequences import Place

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


def arrays(alias: str, spec: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """
    Lay rows out as an array for each column; see `queue_postgresql_sql`.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(spec)
    laid_out: dict[str, Any] = {f"{alias}_rows": len(rows)}
    for name, values in zip(spec, columns, strict=True):
        # To encode a value costs more than to compare it.
        all_same = len(values) > 1 and values.count(values[0]) == len(values)
        laid_out[f"{alias}_{name}"] = values[:1] if all_same else values
    return laid_out


async def store(
    db: AsyncConnection, rows: Mapping[str, Any], events: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    """
    Store those of *events* whose ids are new, with all that follows from them.
    """
    if sequences.wanted(events):
        accept_times = await _accept_times(db, sql.ONLY_KEYS, rows)
        return await _store_following(db, accept_times, events, lease)
    parameters = {**rows, **_leased(lease), **_following(events, {})}
    (accept_time, _, _), *known = await db.execute(sql.STORE, parameters)
    refused = {(account, event_id) for _, account, event_id in known}
    return {
        event.key: Receipt(accept_time, event.sha256, fresh=True)
        for event in events
        if event.key not in refused
    }


async def insert_matches(
    db: AsyncConnection, rows: Mapping[str, Any], events: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    """
    Store what follows from those of *events* that are still unmatched.
    """
    if sequences.wanted(events):
        accept_times = await _accept_times(db, sql.ONLY_MATCHES, rows)
        return await _store_following(db, accept_times, events, lease)
    parameters = {**rows, **_leased(lease), **_following(events, {})}
    return _receipts(events, await _accept_times(db, sql.STORE_MATCHES, parameters), {})


async def _accept_times(
    db: AsyncConnection, statement: sa.TextClause, parameters: Mapping[str, Any]
) -> dict[EventKey, datetime]:
    """
    Run a statement that returns the events which counted, and say when each was accepted.
    """
    rows = await db.execute(statement, parameters)
    return {(account, event_id): accepted for account, event_id, accepted in rows}


def _leased(lease: Lease) -> dict[str, Any]:
    return {"lease_owner": lease.owner, "lease_us": micros(lease.duration)}


async def _store_following(
    db: AsyncConnection,
    accept_times: Mapping[EventKey, datetime],
    events: Sequence[NewEvent],
    lease: Lease,
) -> dict[EventKey, Receipt]:
    """
    Store what follows from those of *events* that were stored at *accept_times*, the
    ordered deliveries among it at their places.
    """
    fresh = [event for event in events if event.key in accept_times]
    places = await _take_places(db, fresh)
    keys = [
        (*it.key, accept_times[it.key], it.resource, it.sequence, it.occurred_at) for it in fresh
    ]
    parameters = {**arrays("f", sql.FRESH, keys), **_leased(lease)}
    following = {**parameters, **_following(fresh, places)}
    await db.execute(sql.STORE_FOLLOWING, following)
    return _receipts(fresh, accept_times, places)


def _following(events: Sequence[NewEvent], places: Mapping[str, Place]) -> dict[str, Any]:
    bodies = [row for event in events for row in body_rows(event)]
    deliveries = [row for event in events for row in delivery_rows(event, places)]
    return {**arrays("b", BODY, bodies), **arrays("d", DELIVERY, deliveries)}


async def _take_places(db: AsyncConnection, events: Sequence[NewEvent]) -> dict[str, Place]:
    wanted = sequences.wanted(events)
    if not wanted:
        return {}
    rows = arrays("l", LANE_COUNT, [(*key, count) for key, count in wanted.items()])
    heads = {}
    for owner, subscription, resource, following, head in await db.execute(sql.TAKE_NUMBERS, rows):
        key = (owner, subscription, resource)
        heads[key] = (following - wanted[key], head)
    return sequences.places(events, heads)


def _receipts(
    events: Sequence[NewEvent],
    accept_times: Mapping[EventKey, datetime],
    places: Mapping[str, Place],
) -> dict[EventKey, Receipt]:
    return {
        event.key: fresh_receipt(event, accept_times[event.key], places)
        for event in events
        if event.key in accept_times
    }

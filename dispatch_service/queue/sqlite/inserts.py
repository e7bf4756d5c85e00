"""
Storing events on SQLite, in the transaction of the only writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from dispatch_service.domain.work import EventKey, Lease, NewEvent, Receipt
from dispatch_service.queue import layouts, missing, sequences
from dispatch_service.queue.sequences import UNORDERED, Position
from dispatch_service.queue.sqlite import statements as sql
from dispatch_service.queue.sqlite.execution import execute_many, lease_now, row_reader
from service_runtime.database.instants import from_microseconds, to_microseconds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_event_row = row_reader(layouts.EVENT)
_body_row = row_reader(layouts.BODY)
_delivery_row = row_reader({**layouts.DELIVERY, **layouts.OF_EVENT})
_count_row = row_reader(layouts.SEQUENCE_COUNT)


async def insert(
    db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    """
    Store the events of *group* whose ids are new; return a receipt for each event of the group.
    """
    known = {
        (account, event_id): Receipt(from_microseconds(accepted), sha256, fresh=False)
        for account, event_id, accepted, sha256 in await db.execute(sql.KNOWN, _keys(group))
    }
    given = await lease_now(db, lease)
    now, accept_time = given["now"], from_microseconds(given["now"])
    fresh = {event.key: event for event in group if event.key not in known}
    rows = [{**_event_row(event), "accept_time": now} for event in fresh.values()]
    await execute_many(db, sql.INSERT_KEY, rows)
    await execute_many(db, sql.INSERT_EVENT, rows)
    events = list(fresh.values())
    positions = await _insert_following(db, events, given, dict.fromkeys(fresh, now))
    return known | sequences.receipts(events, dict.fromkeys(fresh, accept_time), positions)


async def insert_matches(
    db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
) -> dict[EventKey, Receipt]:
    """
    Store the bodies and deliveries of those of *group* that are still unmatched.
    """
    given = await lease_now(db, lease)
    rows = await db.execute(sql.UNMATCHED, _keys(group))
    stored = {(account, event_id): accepted for account, event_id, accepted in rows}
    accept_times = {key: from_microseconds(accepted) for key, accepted in stored.items()}
    matched = [event for event in group if event.key in stored]
    positions = await _insert_following(db, matched, given, stored)
    return sequences.receipts(matched, accept_times, positions)


async def insert_missing(db: AsyncConnection, group: Sequence[NewEvent], lease: Lease) -> int:
    """
    Store the deliveries of *group* that stored events lack; return how many.
    """
    lacking, accept_times = await missing.find(db, group)
    given = await lease_now(db, lease)
    stored = {key: to_microseconds(accepted) for key, accepted in accept_times.items()}
    await _insert_following(db, lacking, given, stored, body=sql.INSERT_MISSING_BODY)
    return sum(len(event.deliveries) for event in lacking)


def _keys(events: Sequence[NewEvent]) -> dict[str, str]:
    return {"keys": msgspec.json.encode([event.key for event in events]).decode()}


async def _insert_following(
    db: AsyncConnection,
    events: Sequence[NewEvent],
    given: Mapping[str, Any],
    accept_times: Mapping[EventKey, int],
    *,
    body: sa.TextClause = sql.INSERT_BODY,
) -> dict[str, Position]:
    """
    Store the bodies and deliveries of *events*; return the positions of the ordered ones.
    """
    positions = await _take_positions(db, events)
    bodies, deliveries = [], []
    for event in events:
        accepted = {"accept_time": accept_times[event.key], **given}
        bodies += [{**_body_row(layouts.StoredBody(event, it)), **accepted} for it in event.bodies]
        for delivery in event.deliveries:
            position = positions.get(delivery.delivery_id, UNORDERED)
            row = _delivery_row(layouts.StoredDelivery(event, delivery, position))
            deliveries.append({**row, **accepted})
    await execute_many(db, body, bodies)
    await execute_many(db, sql.INSERT_DELIVERY, deliveries)
    return positions


async def _take_positions(db: AsyncConnection, events: Sequence[NewEvent]) -> dict[str, Position]:
    heads = {}
    for key, count in sequences.wanted(events).items():
        row = _count_row((*key, count))
        first, head = (await db.execute(sql.TAKE_POSITIONS, row)).one()
        heads[key] = (first, head)
    return sequences.positions(events, heads)

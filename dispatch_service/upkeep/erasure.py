"""
The erasure of a customer's data: payloads, bodies, requests and responses. The log stays,
without them; deliveries that were not sent yet are cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from dispatch_service.domain.transitions import State
from dispatch_service.queue import sequences, waiting_moves
from dispatch_service.queue.lock_order import locked
from dispatch_service.queue.observability.measures import count_end
from dispatch_service.storage.rows import (
    ERASABLE_EVENTS,
    WAITING_ERASURES,
    ErasableEvent,
    WaitingErasure,
)
from dispatch_service.storage.schema import attempts, bodies, deliveries, erasures, events
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.process.failpoints import reach
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 50


@dataclass(frozen=True, slots=True)
class Erased:
    """
    The result of an erasure: events, cancelled deliveries, deliveries that had been sent, and
    events that wait for the end of an attempt.
    """

    events: int = 0
    cancelled: int = 0
    sent: int = 0
    waiting: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(
            self.events + other.events,
            self.cancelled + other.cancelled,
            self.sent + other.sent,
            self.waiting + other.waiting,
        )


async def find(
    db: AsyncConnection, account: int, condition: sa.ColumnElement[bool], after: str
) -> list[ErasableEvent]:
    """
    Return the next events of *account* that meet a condition.

    Whether they still have their payload does not matter: bodies, requests and responses
    may be kept for longer.
    """
    columns = events.c
    query = (
        ERASABLE_EVENTS.select()
        .where(columns.account == account, condition, columns.event_id > after)
        .order_by(columns.event_id)
        .limit(BATCH)
    )
    return await ERASABLE_EVENTS.all(db, query)


async def waiting(db: AsyncConnection, last: tuple[int, str] | None) -> list[WaitingErasure]:
    """
    Return the next events whose erasure had to wait for an attempt, those after the account and
    the event id of *last*.
    """
    columns = erasures.c
    same = sa.and_(events.c.account == columns.account, events.c.event_id == columns.event_id)
    query = (
        WAITING_ERASURES.select()
        .select_from(erasures.join(events, same))
        .order_by(columns.account, columns.event_id)
        .limit(BATCH)
    )
    if last is not None:
        key = sa.tuple_(columns.account, columns.event_id)
        query = query.where(key > sa.tuple_(*map(sa.literal, last)))
    return await WAITING_ERASURES.all(db, query)


async def erase_all(
    engine: AsyncEngine, account: int, condition: sa.ColumnElement[bool], requested_by: str
) -> Erased:
    """
    Erase all events of *account* that meet a condition, each in a transaction of its own, so
    that no delivery waits for a large erasure.
    """
    total, last = Erased(), ""
    while True:
        async with reading(engine) as db:
            found = await find(db, account, condition, last)
        for event in found:
            total += await erase_one(engine, event, requested_by)
        if len(found) < BATCH:
            return total
        last = found[-1].event_id


async def erase_one(engine: AsyncEngine, event: ErasableEvent, requested_by: str) -> Erased:
    """
    Erase an event in a transaction of its own; see `erase`.
    """
    erased = await _erase_one(engine, event, requested_by)
    if erased.cancelled:
        count_end(State.CANCELLED, "", erased.cancelled)
    return erased


@retry_on_conflict
async def _erase_one(engine: AsyncEngine, event: ErasableEvent, requested_by: str) -> Erased:
    async with writing(engine) as db:
        return await erase(db, event, requested_by)


async def erase(db: AsyncConnection, event: ErasableEvent, requested_by: str) -> Erased:
    """
    Erase an event and all that was made of it, or record that it has to wait.
    """
    mine = _made_of(event)
    keys = await _lock(db, event, mine)
    cancelled = await _give_up(db, mine, requested_by)
    await sequences.advance(db, keys)
    states = await _states(db, mine)
    if any(leased for _, leased in states):
        await _postpone(db, event, requested_by)
        reach("erase.inflight")
        return Erased(cancelled=cancelled, waiting=1)
    await _delete_contents(db, event, mine)
    sent = sum(state == State.SUCCEEDED for state, _ in states)
    return Erased(1, cancelled, sent)


def _made_of(event: ErasableEvent) -> sa.ColumnElement[bool]:
    return sa.and_(deliveries.c.owner.in_(_owners(event)), _same(deliveries, event))


def _owners(event: ErasableEvent) -> list[str]:
    warehouses = msgspec.json.decode(event.warehouses) if event.warehouses else ()
    return [names.account(event.account), *map(names.warehouse, warehouses)]


async def _lock(
    db: AsyncConnection, event: ErasableEvent, mine: sa.ColumnElement[bool]
) -> list[sequences.SequenceKey]:
    """
    Lock an event and its deliveries; return their sequences.

    This waits for results that are being written, and for a match of the event.
    """
    await db.execute(sa.select(events.c.event_id).where(_same(events, event)).with_for_update())
    columns = deliveries.c
    key = sa.select(columns.owner, columns.subscription, columns.resource)
    rows = await db.execute(key.where(mine, sequences.in_sequence()))
    keys = [(row[0], row[1], row[2]) for row in rows]
    await sequences.lock(db, keys)
    await db.execute(locked(mine))
    return keys


def _same(table: sa.Table, event: ErasableEvent) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.account == event.account, table.c.event_id == event.event_id)


async def _give_up(db: AsyncConnection, mine: sa.ColumnElement[bool], requested_by: str) -> int:
    """
    Cancel what waits; what is being attempted is cancelled when the attempt has ended.
    """
    columns = deliveries.c
    pending = sa.and_(mine, columns.state == State.PENDING.value)
    update = sa.update(deliveries)
    ended = waiting_moves.CANCEL.values(cancelled_by=requested_by)
    found = await db.execute(update.where(pending).values(ended))
    leased = sa.and_(mine, columns.lease_owner.is_not(None))
    later = waiting_moves.CANCEL_LATER.values(cancelled_by=requested_by)
    await db.execute(update.where(leased).values(later))
    forced = sa.and_(mine, columns.end_time.is_not(None), columns.lease_owner.is_(None))
    resent = sa.and_(forced, columns.due_time.is_not(None))
    await db.execute(update.where(resent).values(waiting_moves.DROP_RESEND.values()))
    return int(found.rowcount)


async def _states(db: AsyncConnection, mine: sa.ColumnElement[bool]) -> Sequence[tuple[str, bool]]:
    query = sa.select(deliveries.c.state, deliveries.c.lease_owner.is_not(None)).where(mine)
    return [(state, bool(leased)) for state, leased in await db.execute(query)]


async def _postpone(db: AsyncConnection, event: ErasableEvent, requested_by: str) -> None:
    await db.execute(sa.delete(erasures).where(_same(erasures, event)))
    row = {"account": event.account, "event_id": event.event_id, "requested_by": requested_by}
    await db.execute(sa.insert(erasures).values(**row, create_time=database_now()))


async def _delete_contents(
    db: AsyncConnection, event: ErasableEvent, mine: sa.ColumnElement[bool]
) -> None:
    """
    Delete everything that may say something of the customer.
    """
    keys = sa.select(deliveries.c.owner, deliveries.c.delivery_id).where(mine)
    logged = sa.tuple_(attempts.c.owner, attempts.c.delivery_id).in_(keys)
    await db.execute(sa.update(attempts).where(logged).values(sealed_exchange=None, error=None))
    columns = bodies.c
    await db.execute(
        sa.delete(bodies).where(columns.owner.in_(_owners(event)), _same(bodies, event))
    )
    found_by = {"email_hash": None, "order_number_hash": None}
    gone = {"sealed_payload": None, "match_state": "MATCHED", **found_by}
    await db.execute(sa.update(events).where(_same(events, event)).values(gone))
    await db.execute(sa.delete(erasures).where(_same(erasures, event)))

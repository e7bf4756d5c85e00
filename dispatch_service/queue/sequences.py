"""
The sequences of ordered subscriptions: unfinished deliveries about one resource are sent one
after the other, in the order of their positions.

A position is taken in the transaction that inserts the delivery, under the lock of the
sequence's row, so that positions have the order of the commits, across processes. Only the
head of a sequence is due; the others have no due time until they are the head.

A transaction locks a sequence before it changes deliveries of it; see `lock_order`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.transitions import State
from dispatch_service.domain.work import Claimed, EventKey, NewDelivery, NewEvent, Receipt
from dispatch_service.queue import waiting_moves
from dispatch_service.queue.lock_order import by_key, update_locked
from dispatch_service.storage.schema import deliveries, sequences
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SequenceKey = tuple[str, str, str]
"""
An owner, the id of a subscription of it, and a resource.
"""

_BATCH = 200
_KEY = ("owner", "subscription", "resource")


@dataclass(frozen=True, slots=True)
class Position:
    """
    The position of a delivery in its sequence. A *blocked* delivery is behind another; one
    that is not blocked is the head.
    """

    number: int | None
    blocked: bool


UNORDERED = Position(None, blocked=False)
"""
The position of a delivery that is in no sequence.
"""


def in_order(event: NewEvent) -> Iterable[tuple[SequenceKey, NewDelivery]]:
    """
    Yield the deliveries of an event that need a position, with their sequences.
    """
    for delivery in event.deliveries:
        if delivery.ordered and delivery.failure_kind is None:
            yield (delivery.owner, delivery.subscription, event.resource), delivery


def wanted(events: Sequence[NewEvent]) -> Mapping[SequenceKey, int]:
    """
    Count the positions that *events* need in each sequence, in the order of the sequences.
    """
    counts = Counter(key for event in events for key, _ in in_order(event))
    return dict(sorted(counts.items()))


def sequences_of(leases: Iterable[Claimed]) -> list[SequenceKey]:
    """
    Return the sequences of leased deliveries.
    """
    return [(it.owner, it.subscription, it.resource) for it in leases if it.in_sequence]


def keys_of(rows: Iterable[sa.Row[Any]]) -> list[SequenceKey]:
    """
    Return the sequences of rows of deliveries.
    """
    return [
        (it.owner, it.subscription, it.resource) for it in rows if it.sequence_position is not None
    ]


def positions(
    events: Sequence[NewEvent], heads: Mapping[SequenceKey, tuple[int, int]]
) -> dict[str, Position]:
    """
    Give the ordered deliveries of *events* their positions, in the order of *events*; return
    them by the ids of the deliveries.

    *heads* has the first number that was taken in each sequence, and the number of its head.
    """
    given: Counter[SequenceKey] = Counter()
    result = {}
    for event in events:
        for key, delivery in in_order(event):
            first, head = heads[key]
            number = first + given[key]
            given[key] += 1
            result[delivery.delivery_id] = Position(number, blocked=number > head)
    return result


def receipts(
    events: Iterable[NewEvent],
    accept_times: Mapping[EventKey, datetime],
    positions: Mapping[str, Position],
) -> dict[EventKey, Receipt]:
    """
    Make the receipts of *events* that were stored, with the deliveries that are blocked.
    """
    blocked = {delivery_id for delivery_id, it in positions.items() if it.blocked}
    return {
        event.key: Receipt(
            accept_times[event.key],
            event.sha256,
            fresh=True,
            blocked=_leased_among(event, blocked) if blocked else frozenset(),
        )
        for event in events
    }


def _leased_among(event: NewEvent, blocked: Collection[str]) -> frozenset[str]:
    wanted = (it.delivery_id for it in event.deliveries if it.leased)
    return frozenset(wanted).intersection(blocked)


async def advance(
    db: AsyncConnection, keys: Collection[SequenceKey], failed: Collection[SequenceKey] = ()
) -> int:
    """
    Make the next delivery of each sequence due whose head has ended; return how many became
    due. Call this in the transaction that ended the deliveries.

    In sequences whose head has *failed* the next delivery keeps its time to expire.
    """
    ordered = sorted(set(keys))
    unblocked = 0
    for start in range(0, len(ordered), _BATCH):
        unblocked += await _advance(db, ordered[start : start + _BATCH], failed)
    return unblocked


async def lock(db: AsyncConnection, keys: Collection[SequenceKey]) -> list[sa.Row[Any]]:
    """
    Lock sequences and return their rows.

    This waits for a transaction that inserts a delivery into one of them; the next statement
    sees that delivery.
    """
    ordered = sorted(set(keys))
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(ordered), _BATCH):
        mine = _in(sequences, ordered[start : start + _BATCH])
        query = sa.select(sequences).where(mine).order_by(*by_key(sequences))
        rows += (await db.execute(query.with_for_update())).all()
    return rows


async def find(db: AsyncConnection, owner: str, subscription: str, limit: int) -> list[SequenceKey]:
    """
    Find sequences of a subscription. One that is being inserted is not found.
    """
    columns = sequences.c
    mine = sa.and_(columns.owner == owner, columns.subscription == subscription)
    rows = await db.execute(sa.select(columns.resource).where(mine).limit(limit))
    return [(owner, subscription, resource) for resource in rows.scalars()]


async def repair(db: AsyncConnection, key: SequenceKey) -> int:
    """
    Make the first delivery of a sequence due if nothing blocks it, and insert the row of the
    sequence if it is missing; return how many deliveries became due.
    """
    if not await lock(db, [key]):
        await _insert_missing(db, key)
    unblocked = await advance(db, [key])
    head = (await _first_unfinished(db, [key])).get(key)
    return unblocked or (0 if head is None else await _unblock(db, key, head, anew=True))


async def _insert_missing(db: AsyncConnection, key: SequenceKey) -> None:
    last = sa.select(sa.func.max(deliveries.c.sequence_position)).where(
        _is(deliveries, key), in_sequence()
    )
    number = (await db.execute(last)).scalar_one()
    if number is not None:
        row = dict(zip(_KEY, key, strict=True)) | {"head_number": 0, "next_number": number + 1}
        await db.execute(sa.insert(sequences).values(row))


def in_sequence() -> sa.ColumnElement[bool]:
    """
    Select the deliveries that are in a sequence, by the condition of their index.
    """
    return sa.and_(deliveries.c.sequence_position.is_not(None), deliveries.c.end_time.is_(None))


async def _advance(
    db: AsyncConnection, keys: Sequence[SequenceKey], failed: Collection[SequenceKey]
) -> int:
    rows = await lock(db, keys)
    heads = await _first_unfinished(db, keys)
    unblocked, empty = 0, []
    for row in rows:
        key = (row.owner, row.subscription, row.resource)
        head = heads.get(key)
        if head is None:
            empty.append(key)
        elif head != row.head_number:
            numbers = {"head_number": head, "next_number": max(row.next_number, head + 1)}
            await db.execute(sa.update(sequences).where(_is(sequences, key)).values(numbers))
            unblocked += await _unblock(db, key, head, anew=key not in failed)
    if empty:
        await db.execute(sa.delete(sequences).where(_in(sequences, empty)))
    return unblocked


async def _first_unfinished(
    db: AsyncConnection, keys: Sequence[SequenceKey]
) -> dict[SequenceKey, int]:
    """
    Return the number of the first delivery of each sequence that has one.
    """
    same = (deliveries.c[name] == sequences.c[name] for name in _KEY)
    first = sa.select(sa.func.min(deliveries.c.sequence_position)).where(*same, in_sequence())
    columns = [sequences.c[name] for name in _KEY]
    query = sa.select(*columns, first.scalar_subquery()).where(_in(sequences, keys))
    rows = await db.execute(query)
    return {(row[0], row[1], row[2]): row[3] for row in rows if row[3] is not None}


async def _unblock(db: AsyncConnection, key: SequenceKey, number: int, *, anew: bool) -> int:
    result = await db.execute(
        sa.update(deliveries)
        .where(
            _is(deliveries, key),
            deliveries.c.sequence_position == number,
            deliveries.c.end_time.is_(None),
            deliveries.c.state == State.PENDING,
            deliveries.c.due_time.is_(None),
        )
        .values(waiting_moves.UNBLOCK.values(anew=anew))
    )
    return int(result.rowcount)


async def last_of(db: AsyncConnection, keys: Sequence[SequenceKey], limit: int) -> list[str]:
    """
    Return the ids of the last deliveries of sequences, at most *limit* together. Without them
    the rest of each is still a sequence.
    """
    found: list[str] = []
    number = deliveries.c.sequence_position
    for key in keys:
        last = sa.select(deliveries.c.delivery_id).where(_is(deliveries, key), in_sequence())
        query = last.order_by(number.desc()).limit(limit - len(found))
        found += (await db.execute(query)).scalars()
        if len(found) == limit:
            break
    return found


async def take_out(db: AsyncConnection, owner: str, delivery_ids: Sequence[str]) -> None:
    """
    Take deliveries out of their sequences, which are locked: nothing blocks them any more.
    """
    mine = sa.and_(deliveries.c.owner == owner, deliveries.c.delivery_id.in_(delivery_ids))
    update = update_locked(sa.and_(mine, in_sequence()))
    await db.execute(update.values(waiting_moves.LEAVE_SEQUENCE.values()))


def _is(table: sa.Table, key: SequenceKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in zip(_KEY, key, strict=True)))


def _in(table: sa.Table, keys: Sequence[SequenceKey]) -> sa.ColumnElement[bool]:
    return in_keys([table.c[name] for name in _KEY], keys)

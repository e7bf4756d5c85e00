"""
The lanes of ordered subscriptions: the unfinished deliveries about one resource
go out one after the other, in the order of their numbers.

Numbers are taken in the transaction that stores a delivery, under the lock of
the lane's row: their order is that of the commits, across processes. Only the
head of a lane is ever due; the others have no due time until it is their turn.

Who changes deliveries of a lane has locked the lane before; see `lock_order`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.deliveries import State
from dispatch_service.domain.work import Claimed, NewDelivery, NewEvent
from dispatch_service.queue.lock_order import by_key, update_locked
from dispatch_service.storage.schema import deliveries, sequences
from service_runtime.database.instants import database_now
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SequenceKey = tuple[str, str, str]
"""
An owner, a subscription of it and a resource.
"""

_BATCH = 200
_KEY = ("owner", "subscription", "resource")


@dataclass(frozen=True, slots=True)
class Place:
    """
    The place of a delivery in its lane; one that is not *behind* another is the head.
    """

    number: int | None
    behind: bool


NO_PLACE = Place(None, behind=False)
"""
That of a delivery that waits for no other.
"""


def ordered(event: NewEvent) -> Iterable[tuple[SequenceKey, NewDelivery]]:
    """
    Yield the deliveries of an event that need a place, with their lanes.
    """
    for it in event.deliveries:
        if it.ordered and it.failure_kind is None:
            yield (it.owner, it.subscription, event.resource), it


def wanted(events: Sequence[NewEvent]) -> Mapping[SequenceKey, int]:
    """
    Count the places that *events* need in each lane, in the order of the lanes.
    """
    counts = Counter(key for event in events for key, _ in ordered(event))
    return dict(sorted(counts.items()))


def of(leases: Iterable[Claimed]) -> list[SequenceKey]:
    """
    Find the lanes of what is leased.
    """
    return [(it.owner, it.subscription, it.resource) for it in leases if it.in_sequence]


def places(
    events: Sequence[NewEvent], heads: Mapping[SequenceKey, tuple[int, int]]
) -> dict[str, Place]:
    """
    Give the ordered deliveries of *events* their places, in the order of *events*.

    *heads* says of each lane the first number that was taken and the head's.
    """
    given: Counter[SequenceKey] = Counter()
    result = {}
    for event in events:
        for key, it in ordered(event):
            first, head = heads[key]
            number = first + given[key]
            given[key] += 1
            result[it.delivery_id] = Place(number, behind=number > head)
    return result


async def advance(db: AsyncConnection, lanes: Collection[SequenceKey]) -> int:
    """
    Let the next delivery of each lane be due where the head has ended; return how
    many became due. To be called in the transaction that ended deliveries.
    """
    keys = sorted(set(lanes))
    unblocked = 0
    for start in range(0, len(keys), _BATCH):
        unblocked += await _advance(db, keys[start : start + _BATCH])
    return unblocked


async def lock(db: AsyncConnection, lanes: Collection[SequenceKey]) -> list[sa.Row[Any]]:
    """
    Lock lanes and return their rows. Who stores a delivery in one at this moment
    is waited for, and seen by the next statement.
    """
    keys = sorted(set(lanes))
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(keys), _BATCH):
        mine = _in(sequences, keys[start : start + _BATCH])
        query = sa.select(sequences).where(mine).order_by(*by_key(sequences))
        rows += (await db.execute(query.with_for_update())).all()
    return rows


async def find(db: AsyncConnection, owner: str, subscription: str, limit: int) -> list[SequenceKey]:
    """
    Find lanes of a subscription. One that is made at this moment is not among them.
    """
    columns = sequences.c
    mine = sa.and_(columns.owner == owner, columns.subscription == subscription)
    rows = await db.execute(sa.select(columns.resource).where(mine).limit(limit))
    return [(owner, subscription, resource) for resource in rows.scalars()]


async def mend(db: AsyncConnection, key: SequenceKey) -> int:
    """
    Make the first delivery of a lane due where it waits for nothing, and the lane
    where it is gone; return how many became due.
    """
    if not await lock(db, [key]):
        await _make_again(db, key)
    unblocked = await advance(db, [key])
    head = (await _first_unfinished(db, [key])).get(key)
    return unblocked or (0 if head is None else await _make_due(db, key, head))


async def _make_again(db: AsyncConnection, key: SequenceKey) -> None:
    last = sa.select(sa.func.max(deliveries.c.sequence_position)).where(
        _is(deliveries, key), in_sequence()
    )
    number = (await db.execute(last)).scalar_one()
    if number is not None:
        row = dict(zip(_KEY, key, strict=True)) | {"head_number": 0, "next_number": number + 1}
        await db.execute(sa.insert(sequences).values(row))


def in_sequence() -> sa.ColumnElement[bool]:
    """
    Say which deliveries are in a lane, in the words of their index.
    """
    return sa.and_(deliveries.c.sequence_position.is_not(None), deliveries.c.end_time.is_(None))


async def _advance(db: AsyncConnection, keys: Sequence[SequenceKey]) -> int:
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
            unblocked += await _make_due(db, key, head)
    if empty:
        await db.execute(sa.delete(sequences).where(_in(sequences, empty)))
    return unblocked


async def _first_unfinished(
    db: AsyncConnection, keys: Sequence[SequenceKey]
) -> dict[SequenceKey, int]:
    """
    Return the number of the first delivery of each lane that has one.
    """
    same = (deliveries.c[name] == sequences.c[name] for name in _KEY)
    first = sa.select(sa.func.min(deliveries.c.sequence_position)).where(*same, in_sequence())
    columns = [sequences.c[name] for name in _KEY]
    query = sa.select(*columns, first.scalar_subquery()).where(_in(sequences, keys))
    rows = await db.execute(query)
    return {(row[0], row[1], row[2]): row[3] for row in rows if row[3] is not None}


async def _make_due(db: AsyncConnection, key: SequenceKey, number: int) -> int:
    result = await db.execute(
        sa.update(deliveries)
        .where(
            _is(deliveries, key),
            deliveries.c.sequence_position == number,
            deliveries.c.end_time.is_(None),
            deliveries.c.state == State.PENDING,
            deliveries.c.due_time.is_(None),
        )
        .values(due_time=database_now())
    )
    return int(result.rowcount)


async def ends(db: AsyncConnection, lanes: Sequence[SequenceKey], limit: int) -> list[str]:
    """
    Return the ids of the last deliveries of lanes, at most *limit* of all: without them each
    is still a lane.
    """
    found: list[str] = []
    number = deliveries.c.sequence_position
    for key in lanes:
        last = sa.select(deliveries.c.delivery_id).where(_is(deliveries, key), in_sequence())
        query = last.order_by(number.desc()).limit(limit - len(found))
        found += (await db.execute(query)).scalars()
        if len(found) == limit:
            break
    return found


async def take_out(db: AsyncConnection, owner: str, delivery_ids: Sequence[str]) -> None:
    """
    Let deliveries of lanes that are locked wait for nothing any more.
    """
    mine = sa.and_(deliveries.c.owner == owner, deliveries.c.delivery_id.in_(delivery_ids))
    due = sa.func.coalesce(deliveries.c.due_time, database_now())
    update = update_locked(sa.and_(mine, in_sequence()))
    await db.execute(update.values(due_time=due, sequence_position=None))


def _is(table: sa.Table, key: SequenceKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in zip(_KEY, key, strict=True)))


def _in(table: sa.Table, keys: Sequence[SequenceKey]) -> sa.ColumnElement[bool]:
    return in_keys([table.c[name] for name in _KEY], keys)

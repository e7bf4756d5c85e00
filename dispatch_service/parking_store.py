"""
What waits for a subscription that became Inactive is parked, and made due again
when it is Active: noted where that is decided, done afterwards in batches.

So a decision costs one row, however much waits. Until a batch comes to it, a due
delivery of an Inactive subscription is claimed and let go, which parks it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dispatch_service.deliveries import State
from dispatch_service.schema import deliveries, parkings
from shipedge.webhooks.runtime.database import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MOST_WISHES = 1000
"""
How many wishes are looked at in one turn.
"""

_NOTED = 500


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """
    What is to become of all that waits for a subscription, as of a revision of it.
    """

    owner: str
    subscription: str
    revision: int
    active: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """
    A wish in the table, when it was noted and when it was looked at.
    """

    wish: Wish
    create_time: datetime
    now: datetime


async def note(db: AsyncConnection, wishes: Iterable[Wish]) -> None:
    """
    Note wishes, each in place of one that is no newer; in the order of their keys, so that
    no two processes wait for each other.
    """
    rows = [_row(wish) for wish in sorted(wishes)]
    for start in range(0, len(rows), _NOTED):
        await db.execute(_upsert(db.dialect.name, rows[start : start + _NOTED]))


def _row(wish: Wish) -> dict[str, Any]:
    return {
        "owner": wish.owner,
        "subscription": wish.subscription,
        "revision": wish.revision,
        "active": wish.active,
        "create_time": database_now(),
        "due_time": database_now(),
    }


def _upsert(dialect: str, rows: Sequence[dict[str, Any]]) -> Any:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(parkings).values(list(rows))
    new = statement.excluded
    keys = ("owner", "subscription")
    return statement.on_conflict_do_update(
        index_elements=[parkings.c[name] for name in keys],
        set_={it.name: new[it.name] for it in parkings.c if it.name not in keys},
        where=parkings.c.revision <= new.revision,
    )


async def due(db: AsyncConnection) -> list[Noted]:
    """
    Return the wishes that are to be worked off now, those that wait longest first.
    """
    columns = parkings.c
    query = (
        sa.select(parkings, database_now().label("now"))
        .where(columns.due_time <= database_now())
        .order_by(columns.due_time)
        .limit(MOST_WISHES)
    )
    return [
        Noted(Wish(row.owner, row.subscription, row.revision, row.active), row.create_time, row.now)
        for row in await db.execute(query)
    ]


async def find(db: AsyncConnection, wish: Wish, limit: int) -> list[str]:
    """
    Find deliveries that a wish has not come to yet.
    """
    query = sa.select(deliveries.c.delivery_id).where(_left(wish)).limit(limit)
    return list((await db.execute(query)).scalars())


async def move(db: AsyncConnection, noted: Noted, delivery_ids: Sequence[str]) -> int | None:
    """
    Park deliveries or make them due; return how many that were, None where the wish has changed.

    Rows that others hold are left to the next turn.
    """
    same = sa.select(parkings.c.revision).where(_is(noted)).with_for_update()
    if (await db.execute(same)).one_or_none() is None:
        return None
    wish = noted.wish
    rows = (await db.execute(_locked(db.dialect.name, wish, delivery_ids))).all()
    left = [{"its_id": delivery_id} for delivery_id, is_left in rows if is_left]
    if left:
        await db.execute(_moved(wish), left)
    return len(left)


def _locked(dialect: str, wish: Wish, delivery_ids: Sequence[str]) -> sa.Select[Any]:
    """
    Select and lock deliveries by their keys, with whether a wish has not come to them yet.
    """
    columns = deliveries.c
    query = sa.select(columns.delivery_id, _left(wish).label("is_left"))
    query = query.where(columns.owner == wish.owner)
    if dialect != "postgresql":
        return query.where(columns.delivery_id.in_(delivery_ids))
    # One after the other: for a set a planner that knows no better walks all that an owner has.
    array = sa.literal(list(delivery_ids), postgresql.ARRAY(columns.delivery_id.type))
    ids = sa.func.unnest(array).table_valued("its_id").render_derived()
    one = query.where(columns.delivery_id == ids.c.its_id).with_for_update(skip_locked=True)
    row = one.lateral()
    return sa.select(row.c.delivery_id, row.c.is_left).select_from(ids.join(row, sa.true()))


def _moved(wish: Wish) -> sa.Update:
    columns = deliveries.c
    mine = sa.and_(columns.owner == wish.owner, columns.delivery_id == sa.bindparam("its_id"))
    time = database_now() if wish.active else columns.expire_time
    return sa.update(deliveries).where(mine).values(due_time=time)


async def forget(db: AsyncConnection, noted: Noted) -> None:
    """
    Forget a wish that came true, unless there is a new one.
    """
    await db.execute(sa.delete(parkings).where(_is(noted)))


async def postpone(db: AsyncConnection, noted: Noted, until: datetime) -> None:
    """
    Look at a wish again at a later time.
    """
    await db.execute(sa.update(parkings).where(_is(noted)).values(due_time=until))


def _is(noted: Noted) -> sa.ColumnElement[bool]:
    columns, wish = parkings.c, noted.wish
    return sa.and_(
        columns.owner == wish.owner,
        columns.subscription == wish.subscription,
        columns.revision == wish.revision,
        columns.active == wish.active,
        columns.create_time == noted.create_time,
    )


def _left(wish: Wish) -> sa.ColumnElement[bool]:
    columns = deliveries.c
    parked = columns.due_time == columns.expire_time
    # What waits behind another of its order lane has no due time: neither holds for it.
    return sa.and_(
        columns.owner == wish.owner,
        columns.subscription == wish.subscription,
        columns.end_time.is_(None),
        columns.state == State.PENDING.value,
        parked if wish.active else columns.due_time != columns.expire_time,
    )

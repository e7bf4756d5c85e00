"""
What the change of a subscription means for all that waits for it: noted where that is
decided, done afterwards in batches; see `wish_steps`.

So a decision costs one row, however much waits. Until a batch comes to it, a due delivery
is claimed, and its worker, who knows the subscription, does the same to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.storage.schema import feed_resources, wishes
from service_runtime.database.engine import database_now
from service_runtime.database.inserts import insert

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MOST_WISHES = 1000
"""
How many wishes are looked at in one turn.
"""

_NOTED = 500


class Fate(StrEnum):
    """
    What becomes of a delivery that waits.
    """

    DUE = "DUE"  # the subscription is Active: what was parked is due again
    PARKED = "PARKED"  # it is Inactive
    CANCELLED = "CANCELLED"  # it is deleted


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What is to become of all that waits for a subscription, as of a revision of it.

    It waits for *endpoint* then, None where that is as it was, and for its turn only
    where the subscription is *ordered*.
    """

    owner: str
    subscription: str
    revision: int
    fate: Fate
    endpoint: str | None = None
    ordered: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """
        The key of its row.
        """
        return self.owner, self.subscription

    @property
    def ends_lanes(self) -> bool:
        """
        Whether nothing waits for its turn any more.
        """
        return self.fate is Fate.CANCELLED or not self.ordered


@dataclass(frozen=True, slots=True)
class Noted:
    """
    A wish in the table, when it was noted and when it was looked at.
    """

    wish: Wish
    create_time: datetime
    now: datetime


async def note(db: AsyncConnection, wanted: Iterable[Wish]) -> None:
    """
    Note wishes, each in place of one that is no newer; in the order of their keys, so that
    no two processes wait for each other.
    """
    rows = [_row(wish) for wish in sorted(wanted, key=lambda it: it.key)]
    for start in range(0, len(rows), _NOTED):
        await db.execute(_upsert(db.dialect.name, rows[start : start + _NOTED]))


def _row(wish: Wish) -> dict[str, Any]:
    return {
        "owner": wish.owner,
        "subscription": wish.subscription,
        "revision": wish.revision,
        "fate": wish.fate.value,
        "endpoint": wish.endpoint,
        "ordered": wish.ordered,
        "create_time": database_now(),
        "due_time": database_now(),
    }


def _upsert(dialect: str, rows: Sequence[dict[str, Any]]) -> Any:
    statement = insert(dialect, wishes).values(list(rows))
    new = statement.excluded
    keys = ("owner", "subscription")
    return statement.on_conflict_do_update(
        index_elements=[wishes.c[name] for name in keys],
        set_={it.name: new[it.name] for it in wishes.c if it.name not in keys},
        where=wishes.c.revision <= new.revision,
    )


async def due(db: AsyncConnection) -> list[Noted]:
    """
    Return the wishes that are to be worked off now, those that wait longest first.
    """
    columns = wishes.c
    query = (
        sa.select(wishes, database_now().label("now"))
        .where(columns.due_time <= database_now())
        .order_by(columns.due_time)
        .limit(MOST_WISHES)
    )
    return [Noted(_wish_of(row), row.create_time, row.now) for row in await db.execute(query)]


def _wish_of(row: Any) -> Wish:
    return Wish(
        row.owner, row.subscription, row.revision, Fate(row.fate), row.endpoint, row.ordered
    )


async def holds(db: AsyncConnection, noted: Noted) -> bool:
    """
    Tell whether a wish is still the newest one, and no newer revision of its subscription is
    stored; keep it so until the transaction ends.
    """
    wish = noted.wish
    columns = feed_resources.c
    name = f"{wish.owner}/subscriptions/{wish.subscription}"
    newer = sa.exists().where(columns.name == name, columns.revision > wish.revision)
    same = sa.select(wishes.c.revision).where(_is(noted), ~newer).with_for_update(of=wishes)
    return (await db.execute(same)).one_or_none() is not None


async def forget(db: AsyncConnection, noted: Noted) -> None:
    """
    Forget a wish that came true, unless there is a new one.
    """
    await db.execute(sa.delete(wishes).where(_is(noted)))


async def postpone(db: AsyncConnection, noted: Noted, until: datetime) -> None:
    """
    Look at a wish again at a later time.
    """
    await db.execute(sa.update(wishes).where(_is(noted)).values(due_time=until))


def _is(noted: Noted) -> sa.ColumnElement[bool]:
    columns, wish = wishes.c, noted.wish
    return sa.and_(
        columns.owner == wish.owner,
        columns.subscription == wish.subscription,
        columns.revision == wish.revision,
        columns.fate == wish.fate.value,
        columns.create_time == noted.create_time,
    )

"""
What the change of a subscription means for all that waits for it: recorded where that is
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

from dispatch_service.storage.schema import backlog_updates, feed_resources
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MOST_UPDATES = 1000
"""
How many backlog_updates are looked at in one turn.
"""

_RECORDED_AT_ONCE = 500


class BacklogAction(StrEnum):
    """
    What happens to the deliveries that wait for a subscription.
    """

    RESUME = "RESUME"  # it is Active: suspended deliveries are due again
    SUSPEND = "SUSPEND"  # it is Inactive
    CANCEL = "CANCEL"  # it is deleted


@dataclass(frozen=True, slots=True)
class BacklogUpdate:
    """
    What is to become of all that waits for a subscription, as of a revision of it.

    It waits for *endpoint* then, None where that is as it was, and for its turn only
    where the subscription is *ordered*.
    """

    owner: str
    subscription: str
    revision: int
    action: BacklogAction
    endpoint: str | None = None
    ordered: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """
        The key of its row.
        """
        return self.owner, self.subscription

    @property
    def ends_sequences(self) -> bool:
        """
        Whether nothing waits for its turn any more.
        """
        return self.action is BacklogAction.CANCEL or not self.ordered


@dataclass(frozen=True, slots=True)
class RecordedUpdate:
    """
    An update in the table, when it was recorded and when it was looked at.
    """

    update: BacklogUpdate
    create_time: datetime
    now: datetime


async def note(db: AsyncConnection, wanted: Iterable[BacklogUpdate]) -> None:
    """
    Note backlog_updates, each in place of one that is no newer; in the order of their keys, so that
    no two processes wait for each other.
    """
    rows = [_row(update) for update in sorted(wanted, key=lambda it: it.key)]
    for start in range(0, len(rows), _RECORDED_AT_ONCE):
        await db.execute(_upsert(db.dialect.name, rows[start : start + _RECORDED_AT_ONCE]))


def _row(update: BacklogUpdate) -> dict[str, Any]:
    return {
        "owner": update.owner,
        "subscription": update.subscription,
        "revision": update.revision,
        "action": update.action.value,
        "endpoint": update.endpoint,
        "ordered": update.ordered,
        "create_time": database_now(),
        "due_time": database_now(),
    }


def _upsert(dialect: str, rows: Sequence[dict[str, Any]]) -> Any:
    statement = insert(dialect, backlog_updates).values(list(rows))
    new = statement.excluded
    keys = ("owner", "subscription")
    return statement.on_conflict_do_update(
        index_elements=[backlog_updates.c[name] for name in keys],
        set_={it.name: new[it.name] for it in backlog_updates.c if it.name not in keys},
        where=backlog_updates.c.revision <= new.revision,
    )


async def due(db: AsyncConnection) -> list[RecordedUpdate]:
    """
    Return the backlog_updates that are to be worked off now, those that wait longest first.
    """
    columns = backlog_updates.c
    query = (
        sa.select(backlog_updates, database_now().label("now"))
        .where(columns.due_time <= database_now())
        .order_by(columns.due_time)
        .limit(MOST_UPDATES)
    )
    return [
        RecordedUpdate(_update_of(row), row.create_time, row.now) for row in await db.execute(query)
    ]


def _update_of(row: Any) -> BacklogUpdate:
    return BacklogUpdate(
        row.owner,
        row.subscription,
        row.revision,
        BacklogAction(row.action),
        row.endpoint,
        row.ordered,
    )


async def holds(db: AsyncConnection, recorded: RecordedUpdate) -> bool:
    """
    Tell whether an update is still the newest one, and no newer revision of its subscription is
    stored; keep it so until the transaction ends.
    """
    update = recorded.update
    columns = feed_resources.c
    name = names.subscription(update.owner, update.subscription)
    newer = sa.exists().where(columns.name == name, columns.revision > update.revision)
    same = (
        sa.select(backlog_updates.c.revision)
        .where(_is(recorded), ~newer)
        .with_for_update(of=backlog_updates)
    )
    return (await db.execute(same)).one_or_none() is not None


async def forget(db: AsyncConnection, recorded: RecordedUpdate) -> None:
    """
    Forget an update that came true, unless there is a new one.
    """
    await db.execute(sa.delete(backlog_updates).where(_is(recorded)))


async def postpone(db: AsyncConnection, recorded: RecordedUpdate, until: datetime) -> None:
    """
    Look at an update again at a later time.
    """
    await db.execute(sa.update(backlog_updates).where(_is(recorded)).values(due_time=until))


def _is(recorded: RecordedUpdate) -> sa.ColumnElement[bool]:
    columns, update = backlog_updates.c, recorded.update
    return sa.and_(
        columns.owner == update.owner,
        columns.subscription == update.subscription,
        columns.revision == update.revision,
        columns.action == update.action.value,
        columns.create_time == recorded.create_time,
    )

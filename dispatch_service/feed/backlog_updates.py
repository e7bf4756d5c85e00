"""
The table of backlog updates: what a changed subscription means for its unfinished deliveries.

A change writes one row, however many deliveries wait; `BacklogUpdater` applies it in batches.
A due delivery that no batch has reached yet is claimed, and the attempt does the same to it,
because it knows the subscription.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dispatch_service.storage.schema import backlog_updates, deliveries, feed_resources
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MOST_UPDATES = 1000
"""
The number of updates that one round applies at most.
"""

_ROWS_AT_ONCE = 500


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
    The effect of a revision of a subscription on its unfinished deliveries.

    They go to *endpoint* from now on, None if it has not changed. They stay in sequences only
    if the subscription is *ordered*. *held*: they are suspended because the subscription is held,
    or cancelled because its hold has ended.
    """

    owner: str
    subscription: str
    revision: int
    action: BacklogAction
    endpoint: str | None = None
    ordered: bool = True
    held: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """
        The primary key of the row.
        """
        return self.owner, self.subscription

    @property
    def ends_sequences(self) -> bool:
        """
        Whether no delivery of the subscription belongs to a sequence any more.
        """
        return self.action is BacklogAction.CANCEL or not self.ordered


@dataclass(frozen=True, slots=True)
class RecordedUpdate:
    """
    A row of the table, with the time of the database when it was read.
    """

    update: BacklogUpdate
    create_time: datetime
    now: datetime


class Status(Enum):
    """
    What is left to be done for an update.
    """

    MORE = auto()  # deliveries may be left
    DONE = auto()  # none is left
    SUPERSEDED = auto()  # a newer update or a newer revision counts


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How many deliveries a step has changed, and what is left. Of those it has *cancelled* some.
    """

    changed: int
    status: Status
    cancelled: int = 0


SUPERSEDED = Progress(0, Status.SUPERSEDED)


async def record(
    db: AsyncConnection, updates: Iterable[BacklogUpdate], *, any_revision: bool = False
) -> None:
    """
    Record *updates*, each in place of one of the same or an older revision. With *any_revision*
    each replaces what is there: the revisions may be those of two histories.
    """
    # In the order of their keys, so that no two processes wait for each other.
    rows = [_row(update) for update in sorted(updates, key=lambda update: update.key)]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        await db.execute(_upsert(db.dialect.name, part, any_revision=any_revision))


def _row(update: BacklogUpdate) -> dict[str, Any]:
    return {
        "owner": update.owner,
        "subscription": update.subscription,
        "revision": update.revision,
        "action": update.action.value,
        "endpoint": update.endpoint,
        "ordered": update.ordered,
        "held": update.held,
        "create_time": database_now(),
        "due_time": database_now(),
    }


def _upsert(dialect: str, rows: Sequence[dict[str, Any]], *, any_revision: bool) -> Any:
    statement = insert(dialect, backlog_updates).values(list(rows))
    new = statement.excluded
    keys = ("owner", "subscription")
    values = {column.name: new[column.name] for column in backlog_updates.c}
    return statement.on_conflict_do_update(
        index_elements=[backlog_updates.c[name] for name in keys],
        set_={name: value for name, value in values.items() if name not in keys},
        where=sa.true() if any_revision else backlog_updates.c.revision <= new.revision,
    )


async def due(db: AsyncConnection) -> list[RecordedUpdate]:
    """
    Return the updates that are to be applied now, those that wait longest first.
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
        row.held,
    )


async def holds(db: AsyncConnection, recorded: RecordedUpdate) -> bool:
    """
    Return whether an update is still the newest one, and no newer revision of its subscription
    is stored. The answer holds until the transaction ends.
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


async def delete(db: AsyncConnection, recorded: RecordedUpdate) -> None:
    """
    Delete an update, unless a new one has taken its place.
    """
    await db.execute(sa.delete(backlog_updates).where(_is(recorded)))


async def postpone(db: AsyncConnection, recorded: RecordedUpdate, until: datetime) -> None:
    """
    Apply an update again at a later time, unless a new one has taken its place.
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


async def affected(db: AsyncConnection, changed: Sequence[str]) -> list[str]:
    """
    Return the names among *changed* of subscriptions that have unfinished deliveries, or an
    older update that must not be applied any more.
    """
    keys = [names.split(name) for name in changed if names.is_subscription(name)]
    found: list[str] = []
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        rows = await db.execute(
            _select_with_backlog(db.dialect.name, keys[start : start + _ROWS_AT_ONCE])
        )
        found += [names.subscription(row.owner, row.subscription) for row in rows]
    return found


def _select_with_backlog(dialect: str, keys: Sequence[tuple[str, str]]) -> sa.Select[Any]:
    """
    Select those of *keys* with a backlog, by one look into the index for each.
    """
    listed, owner, subscription = _listed(dialect, keys)
    one = sa.select(sa.literal(1)).where(
        deliveries.c.owner == owner,
        deliveries.c.subscription == subscription,
        deliveries.c.end_time.is_(None),
    )
    # A planner would turn EXISTS into a join, and read all that is unfinished for it.
    first = one.limit(1).correlate(listed).scalar_subquery()
    older = sa.select(sa.literal(1)).where(
        backlog_updates.c.owner == owner, backlog_updates.c.subscription == subscription
    )
    recorded = older.correlate(listed).scalar_subquery()
    chosen = sa.select(owner.label("owner"), subscription.label("subscription"))
    return chosen.select_from(listed).where(sa.or_(first.is_not(None), recorded.is_not(None)))


def _listed(dialect: str, keys: Sequence[tuple[str, str]]) -> tuple[Any, Any, Any]:
    """
    Make a table of *keys*, which come as one parameter, and its two columns.
    """
    text = sa.literal(json.dumps(keys), sa.Text)
    parts: list[Any]
    if dialect == "postgresql":
        array = sa.cast(text, postgresql.JSON)
        listed = sa.func.json_array_elements(array).table_valued("value", name="listed")
        parts = [listed.c.value.op("->>", return_type=sa.Text())(n) for n in range(2)]
    else:
        listed = sa.func.json_each(text).table_valued("value", name="listed")
        parts = [sa.func.json_extract(listed.c.value, f"$[{n}]") for n in range(2)]
    return listed, parts[0], parts[1]

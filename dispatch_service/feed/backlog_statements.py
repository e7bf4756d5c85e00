"""
The steps that apply a backlog update: sequences first, then deliveries by their keys, a
batch in each transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import LONGEST_LIFETIME, State, WaitReason
from dispatch_service.feed import backlog_updates
from dispatch_service.feed.backlog_updates import (
    SUPERSEDED,
    BacklogAction,
    BacklogUpdate,
    Progress,
    RecordedUpdate,
    Status,
)
from dispatch_service.queue import sequences, waiting_moves
from dispatch_service.queue.lock_order import update_locked
from dispatch_service.queue.sequences import SequenceKey
from dispatch_service.storage.schema import deliveries
from service_runtime.database.instants import micros

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def end_sequences(
    db: AsyncConnection, recorded: RecordedUpdate, keys: Sequence[SequenceKey], limit: int
) -> Progress:
    """
    Take at most *limit* deliveries out of the sequences *keys*, the last ones first.
    """
    await sequences.lock(db, keys)
    if not await backlog_updates.holds(db, recorded):
        return SUPERSEDED
    owner = recorded.update.owner
    ids, cancelled = await sequences.last_of(db, keys, limit), 0
    if recorded.update.action is BacklogAction.CANCEL:
        columns = deliveries.c
        mine = sa.and_(columns.owner == owner, columns.delivery_id.in_(ids))
        waiting = sa.and_(mine, columns.state == State.PENDING.value)
        ended = await db.execute(update_locked(waiting).values(_values(recorded.update)))
        cancelled = ended.rowcount
    await sequences.take_out(db, owner, ids)
    await sequences.advance(db, keys)
    return Progress(len(ids), Status.MORE, cancelled)


async def find(db: AsyncConnection, update: BacklogUpdate, limit: int) -> list[str]:
    """
    Return the ids of at most *limit* deliveries that an update has yet to change.
    """
    query = sa.select(deliveries.c.delivery_id).where(_left(update)).limit(limit)
    return list((await db.execute(query)).scalars())


async def change(
    db: AsyncConnection, recorded: RecordedUpdate, delivery_ids: Sequence[str]
) -> Progress:
    """
    Apply an update to deliveries. Rows that others hold are left for the next round.
    """
    if not await backlog_updates.holds(db, recorded):
        return SUPERSEDED
    update = recorded.update
    rows = (await db.execute(_locked(db.dialect.name, update, delivery_ids))).all()
    left = [{"wanted_id": delivery_id} for delivery_id, is_left in rows if is_left]
    if left:
        await db.execute(_changed(update), left)
    cancels = update.action is BacklogAction.CANCEL
    return Progress(len(left), Status.MORE, len(left) if cancels else 0)


def _locked(dialect: str, update: BacklogUpdate, delivery_ids: Sequence[str]) -> sa.Select[Any]:
    """
    Select and lock deliveries by their keys, each with whether it has yet to be changed.
    """
    columns = deliveries.c
    query = sa.select(columns.delivery_id, _left(update).label("is_left"))
    query = query.where(columns.owner == update.owner)
    if dialect != "postgresql":
        return query.where(columns.delivery_id.in_(delivery_ids))
    # One after the other: for a set a planner that knows no better walks all that an owner has.
    array = sa.literal(list(delivery_ids), postgresql.ARRAY(columns.delivery_id.type))
    ids = sa.func.unnest(array).table_valued("wanted_id").render_derived()
    one = query.where(columns.delivery_id == ids.c.wanted_id).with_for_update(skip_locked=True)
    row = one.lateral()
    return sa.select(row.c.delivery_id, row.c.is_left).select_from(ids.join(row, sa.true()))


def _changed(update: BacklogUpdate) -> sa.Update:
    columns = deliveries.c
    mine = sa.and_(columns.owner == update.owner, columns.delivery_id == sa.bindparam("wanted_id"))
    return sa.update(deliveries).where(mine).values(_values(update))


def _values(update: BacklogUpdate) -> Mapping[str, Any]:
    if update.action is BacklogAction.CANCEL:
        return waiting_moves.CANCEL_DELETED.values(failure_kind=failure_kind(update).value)
    if update.action is BacklogAction.RESUME:
        return waiting_moves.RESUME.values(endpoint=update.endpoint)
    # The end of a hold cancels by an update of its own, so the hold itself may be any time.
    hold_us = micros(LONGEST_LIFETIME) if update.held else None
    return waiting_moves.SUSPEND_WAITING.values(endpoint=update.endpoint, hold_us=hold_us)


def failure_kind(update: BacklogUpdate) -> FailureKind:
    """
    Return why an update cancels deliveries.
    """
    return FailureKind.MISSING if update.held else FailureKind.SUBSCRIPTION_DELETED


def _left(update: BacklogUpdate) -> sa.ColumnElement[bool]:
    columns = deliveries.c
    return sa.and_(
        columns.owner == update.owner,
        columns.subscription == update.subscription,
        columns.end_time.is_(None),
        columns.state == State.PENDING.value,
        _differs(update),
    )


def _differs(update: BacklogUpdate) -> sa.ColumnElement[bool]:
    columns = deliveries.c
    if update.action is BacklogAction.CANCEL:
        # A delivery in a sequence is cancelled with its sequence.
        return columns.sequence_position.is_(None)
    elsewhere = sa.false() if update.endpoint is None else columns.endpoint != update.endpoint
    if update.action is BacklogAction.RESUME:
        return sa.or_(columns.wait_reason.in_((WaitReason.INACTIVE, WaitReason.HELD)), elsewhere)
    reason = WaitReason.HELD if update.held else WaitReason.INACTIVE
    # A row whose reason is not known was written before there was one.
    active = sa.or_(columns.wait_reason.is_(None), columns.wait_reason != reason.value)
    return sa.or_(sa.and_(columns.due_time.is_not(None), active), elsewhere)

"""
Giving a delivery up by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.deliveries import State
from dispatch_service.domain.errors import DeliveryEnded
from dispatch_service.log.audit import AUDIT_LOG
from dispatch_service.queue import sequences
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.schema import deliveries
from service_runtime.database.audit_log import AuditChange
from service_runtime.database.instants import database_now
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "CancelDelivery"

# What waits ends at once; an attempt that is being made is not cut off.
_CHANGES: dict[str, dict[str, Any]] = {
    State.PENDING: {"state": State.CANCELLED.value, "end_time": database_now(), "due_time": None},
    State.DELIVERING: {},
}


async def cancel(db: AsyncConnection, row: DeliveryRow, cancelled_by: str) -> None:
    """
    Give up the delivery of *row*: at once where it waits, when its attempt has ended
    where one is being made, unless that succeeds.

    Raises `DeliveryEnded`.
    """
    name = names.delivery(row.owner, row.delivery_id)
    lane = (row.owner, row.subscription, row.resource)
    in_sequence = row.sequence_position is not None
    if in_sequence:
        await sequences.lock(db, [lane])
    # A result that is being written is waited for: only then is it clear what there is to do.
    state = str((await db.execute(_state(row))).scalar_one_or_none() or row.state)
    if state not in _CHANGES:
        raise DeliveryEnded(name, state)
    update = sa.update(deliveries).where(_is(row))
    await db.execute(update.values(**_CHANGES[state], cancelled_by=cancelled_by))
    if in_sequence:
        await sequences.advance(db, [lane])
    await AUDIT_LOG.record(
        db,
        owner=row.owner,
        caller=cancelled_by,
        method=METHOD,
        resource=name,
        changes=[AuditChange("state", state, State.CANCELLED.value)],
    )


def _state(row: DeliveryRow) -> sa.Select[tuple[str]]:
    return sa.select(deliveries.c.state).where(_is(row)).with_for_update()


def _is(row: DeliveryRow) -> sa.ColumnElement[bool]:
    return sa.and_(deliveries.c.owner == row.owner, deliveries.c.delivery_id == row.delivery_id)

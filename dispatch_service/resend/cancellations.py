"""
Cancelling a delivery by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.errors import DeliveryEnded
from dispatch_service.domain.transitions import State
from dispatch_service.queue import sequences, waiting_moves
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.schema import deliveries
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "CancelDelivery"

_MOVES = {State.PENDING: waiting_moves.CANCEL, State.DELIVERING: waiting_moves.CANCEL_LATER}


async def cancel(db: AsyncConnection, row: DeliveryRow, cancelled_by: str) -> State:
    """
    Cancel the delivery of *row*: at once if it waits, and if an attempt is being made, when that
    has ended, unless it succeeds. Return its state of before.

    Raises `DeliveryEnded`.
    """
    name = names.delivery(row.owner, row.delivery_id)
    key = (row.owner, row.subscription, row.resource)
    in_sequence = row.sequence_position is not None
    if in_sequence:
        await sequences.lock(db, [key])
    # This waits for a result that is being written, which may end the delivery.
    locked = (await db.execute(_state(row))).scalar_one_or_none()
    state = State(str(locked or row.state))
    if state not in _MOVES:
        raise DeliveryEnded(name, state)
    update = sa.update(deliveries).where(_is(row))
    await db.execute(update.values(_MOVES[state].values(cancelled_by=cancelled_by)))
    if in_sequence:
        await sequences.advance(db, [key])
    return state


def _state(row: DeliveryRow) -> sa.Select[tuple[str]]:
    return sa.select(deliveries.c.state).where(_is(row)).with_for_update()


def _is(row: DeliveryRow) -> sa.ColumnElement[bool]:
    return sa.and_(deliveries.c.owner == row.owner, deliveries.c.delivery_id == row.delivery_id)

"""
Giving a delivery up by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service import manual_actions, order_lanes
from dispatch_service.convert import delivery_name
from dispatch_service.deliveries import State
from dispatch_service.errors import DeliveryEnded
from dispatch_service.schema import deliveries
from shipedge.webhooks.runtime.database import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "CancelDelivery"


async def cancel(db: AsyncConnection, row: Any, cancelled_by: str) -> None:
    """
    Give up the delivery of *row*: at once where it waits, when its attempt has ended
    where one is being made, unless that succeeds.

    Raises `DeliveryEnded`.
    """
    name = delivery_name(row.owner, row.delivery_id)
    if not (await _end_waiting(db, row, cancelled_by) or await _mark_leased(db, row, cancelled_by)):
        raise DeliveryEnded(name, row.state)
    await manual_actions.note(
        db,
        owner=row.owner,
        caller=cancelled_by,
        method=METHOD,
        resource=name,
        changes=[{"field": "state", "before": row.state, "after": State.CANCELLED.value}],
    )


async def _end_waiting(db: AsyncConnection, row: Any, cancelled_by: str) -> bool:
    ended = {"state": State.CANCELLED.value, "end_time": database_now(), "due_time": None}
    result = await db.execute(
        _in_state(row, State.PENDING).values(**ended, cancelled_by=cancelled_by)
    )
    if result.rowcount and row.lane_number is not None:
        await order_lanes.advance(db, [(row.owner, row.subscription, row.resource)])
    return bool(result.rowcount)


async def _mark_leased(db: AsyncConnection, row: Any, cancelled_by: str) -> bool:
    result = await db.execute(_in_state(row, State.DELIVERING).values(cancelled_by=cancelled_by))
    return bool(result.rowcount)


def _in_state(row: Any, state: State) -> sa.Update:
    return sa.update(deliveries).where(
        deliveries.c.owner == row.owner,
        deliveries.c.delivery_id == row.delivery_id,
        deliveries.c.state == state.value,
    )

"""
Payloads that could not be rendered when their event was accepted. A resend renders them once
more, with the renderer of today.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.intake.bodies import render_bodies, seal_bodies
from dispatch_service.log import events
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.schema import bodies
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


def is_missing(row: DeliveryRow) -> bool:
    """
    Tell whether a delivery failed because its payload could not be rendered.
    """
    return row.sha256 is None and row.failure_kind == FailureKind.RENDER


async def render(
    db: AsyncConnection, keys: DayKeys, sealer: Sealer, row: DeliveryRow, subscription: Subscription
) -> bool:
    """
    Render and store the payload of a delivery; return False where that is still impossible.
    """
    event = await events.read(db, keys, row.account, row.event_id)
    if event is None:
        return False
    rendered = render_bodies(event, [subscription])
    for made in seal_bodies(event, rendered, sealer):
        values = {"account": row.account, "event_id": row.event_id, "create_time": database_now()}
        values |= {name: getattr(made, name) for name in made.__struct_fields__}
        # Another resend may have been first, with the same bytes.
        await db.execute(insert(db.dialect.name, bodies).values(values).on_conflict_do_nothing())
    return rendered.rendered[row.event_type, row.payload_version] is not None

"""
Reading stored events, and which deliveries were made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import deliveries, events
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """
    A stored event; *event* is None if its content was erased.
    """

    accept_time: datetime
    matched: bool
    event: event_pb2.Event | None = field(repr=False)


async def find(
    engine: AsyncEngine, keys: DayKeys, account: int, event_id: str
) -> StoredEvent | None:
    """
    Read a stored event; return None if there is none with this id.
    """
    query = sa.select(events.c.accept_time, events.c.match_state, events.c.sealed_payload).where(
        events.c.account == account, events.c.event_id == event_id
    )
    async with reading(engine) as db:
        row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    content = None
    if row.sealed_payload is not None:
        opened = await keys.open(row.sealed_payload, associated_data.event(account, event_id))
        content = event_pb2.Event.FromString(opened)
    return StoredEvent(row.accept_time, row.match_state == "MATCHED", content)


async def read(
    db: AsyncConnection, keys: DayKeys, account: int, event_id: str
) -> event_pb2.Event | None:
    """
    Read the content of an event; return None if it was erased or pruned.
    """
    query = sa.select(events.c.sealed_payload).where(
        events.c.account == account, events.c.event_id == event_id
    )
    sealed = (await db.execute(query)).scalar_one_or_none()
    if sealed is None:
        return None
    return event_pb2.Event.FromString(
        await keys.open(sealed, associated_data.event(account, event_id))
    )


async def deliveries_of(
    engine: AsyncEngine, owners: Sequence[str], account: int, event_id: str
) -> dict[str, str]:
    """
    Map the names of the subscriptions of *owners* that an event was sent to, to the ids of
    the deliveries.
    """
    query = sa.select(
        deliveries.c.owner, deliveries.c.subscription, deliveries.c.delivery_id
    ).where(
        deliveries.c.owner.in_(owners),
        deliveries.c.account == account,
        deliveries.c.event_id == event_id,
    )
    async with reading(engine) as db:
        rows = (await db.execute(query)).all()
    return {names.subscription(it.owner, it.subscription): str(it.delivery_id) for it in rows}

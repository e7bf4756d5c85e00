"""
What deliveries stored events lack, for the inserts of both databases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec.structs import replace

from dispatch_service.domain.work import EventKey, NewDelivery, NewEvent
from dispatch_service.queue.lock_order import by_key
from dispatch_service.storage.schema import deliveries, events
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

DeliveryKey = tuple[str, int, str, str]
"""
An owner, an account, the id of an event of it, and the id of a subscription of the owner.
"""

_EVENT = (events.c.account, events.c.event_id)
_DELIVERY = tuple(deliveries.c[it] for it in ("owner", "account", "event_id", "subscription"))


async def find(
    db: AsyncConnection, group: Sequence[NewEvent]
) -> tuple[Sequence[NewEvent], Mapping[EventKey, datetime]]:
    """
    Return the events of *group* with those of their deliveries that are not stored, and the
    times at which these events were accepted. The events stay locked until the transaction ends.

    The lock makes processes that store deliveries of the same event wait for each other, so the
    second sees what the first stored, and an erasure too. Events without payload, which are
    erased or past their retention, are left out, and those that wait for a snapshot.
    """
    columns = events.c
    alive = sa.and_(columns.sealed_payload.is_not(None), columns.match_state == "MATCHED")
    found = in_keys(_EVENT, [event.key for event in group])
    query = sa.select(*_EVENT, columns.accept_time).where(found, alive)
    rows = await db.execute(query.order_by(*by_key(events)).with_for_update())
    accept_times = {(account, event_id): accepted for account, event_id, accepted in rows}
    known = await stored(db, [_key(it, delivery) for it in group for delivery in it.deliveries])
    lacking = [without(event, known) for event in group if event.key in accept_times]
    return [event for event in lacking if event.deliveries], accept_times


async def stored(db: AsyncConnection, keys: Iterable[DeliveryKey]) -> set[DeliveryKey]:
    """
    Return those of *keys* of which a delivery is stored.
    """
    rows = await db.execute(sa.select(*_DELIVERY).where(in_keys(_DELIVERY, keys)))
    return {(row[0], row[1], row[2], row[3]) for row in rows}


def without(event: NewEvent, known: Collection[DeliveryKey]) -> NewEvent:
    """
    Return *event* without the deliveries that are *known*, and without bodies that only those
    need.
    """
    made = [it for it in event.deliveries if _key(event, it) not in known]
    used = {(it.owner, it.event_type, it.payload_version) for it in made}
    bodies = [it for it in event.bodies if (it.owner, it.event_type, it.payload_version) in used]
    return replace(event, deliveries=made, bodies=bodies)


def _key(event: NewEvent, delivery: NewDelivery) -> DeliveryKey:
    return (delivery.owner, event.account, event.event_id, delivery.subscription)

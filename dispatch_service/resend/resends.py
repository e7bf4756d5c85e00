"""
Resending deliveries: which state allows it, and the update that makes them due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.errors import (
    BodyErased,
    DeliverySucceeded,
    SubscriptionDeleted,
    SubscriptionInactive,
)
from dispatch_service.domain.transitions import State
from dispatch_service.queue import waiting_moves
from dispatch_service.queue.lock_order import update_locked
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.schema import deliveries
from service_runtime.database.instants import micros
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "ResendDelivery"


def checked(
    name: str, row: DeliveryRow, subscription: Subscription | None, *, force: bool
) -> Subscription:
    """
    Return the subscription that a delivery may be resent to.

    Raises `SubscriptionDeleted`, `SubscriptionInactive`, `BodyErased`, and for a delivery that
    succeeded `DeliverySucceeded` unless *force* is set.
    """
    subscription = active(names.subscription(row.owner, row.subscription), subscription)
    if row.sha256 is None:
        raise BodyErased(name)
    if row.state == State.SUCCEEDED and not force:
        raise DeliverySucceeded(name)
    return subscription


def active(name: str, subscription: Subscription | None) -> Subscription:
    """
    Return the subscription *name*, to which something may be sent.

    Raises `SubscriptionDeleted` and `SubscriptionInactive`.
    """
    if subscription is None or subscription.deleted:
        raise SubscriptionDeleted(name)
    if not subscription.active:
        raise SubscriptionInactive(name)
    return subscription


async def make_due(
    db: AsyncConnection,
    owner: str,
    delivery_ids: Sequence[str],
    requested_by: str,
    lifetime: timedelta,
) -> int:
    """
    Make deliveries due now that are not leased; return how many.

    Those that failed or were cancelled begin a new schedule of *lifetime*, outside their
    sequence. A pending delivery gets back the delay that it was waiting out.
    """
    wanted = sa.and_(
        deliveries.c.owner == owner,
        deliveries.c.delivery_id.in_(delivery_ids),
        deliveries.c.lease_owner.is_(None),
    )
    resent = waiting_moves.RESEND.values(requested_by=requested_by, lifetime_us=micros(lifetime))
    result = await db.execute(update_locked(wanted).values(resent))
    return int(result.rowcount)

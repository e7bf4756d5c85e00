"""
Sending a delivery again: what its state allows, and the rows that say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch_service import manual_actions
from dispatch_service.convert import delivery_name
from dispatch_service.deliveries import State, Trigger
from dispatch_service.errors import (
    BodyErased,
    DeliverySucceeded,
    RequestIdReused,
    SubscriptionDeleted,
    SubscriptionInactive,
)
from dispatch_service.schema import deliveries, request_ids
from dispatch_service.subscriptions import Subscription
from shipedge.webhooks.runtime.database import after, database_now

METHOD = "ResendDelivery"


@dataclass(frozen=True, slots=True)
class ResendRequest:
    """
    Somebody's wish to have a delivery sent again.
    """

    owner: str
    delivery_id: str
    force: bool
    requested_by: str
    request_id: str = ""

    @property
    def name(self) -> str:
        """
        The name of the delivery.
        """
        return delivery_name(self.owner, self.delivery_id)


def checked(request: ResendRequest, row: Any, subscription: Subscription | None) -> Subscription:
    """
    Return the subscription that a delivery may be sent to again, or raise why not.
    """
    subscription_name = f"{row.owner}/subscriptions/{row.subscription}"
    if subscription is None or subscription.deleted:
        raise SubscriptionDeleted(subscription_name)
    if not subscription.active:
        raise SubscriptionInactive(subscription_name)
    if row.sha256 is None:
        raise BodyErased(request.name)
    if row.state == State.SUCCEEDED and not request.force:
        raise DeliverySucceeded(request.name)
    return subscription


async def resend(
    db: AsyncConnection, request: ResendRequest, row: Any, lifetime: timedelta
) -> None:
    """
    Make a delivery due now, in one transaction with who asked for it.

    One that failed or was cancelled gets a fresh schedule and *lifetime*; one
    that is being attempted stays as it is.
    """
    changes: dict[str, Any] = {
        "due_time": database_now(),
        "next_trigger": Trigger.RESEND.value,
        "requested_by": request.requested_by,
    }
    if row.state in {State.FAILED, State.CANCELLED}:
        changes |= {
            "state": State.PENDING.value,
            "end_time": None,
            "failure_kind": None,
            "step": 0,
            "interrupted": 0,
            "expire_time": after(lifetime),
        }
    await db.execute(
        sa.update(deliveries)
        .where(
            deliveries.c.owner == request.owner,
            deliveries.c.delivery_id == request.delivery_id,
            deliveries.c.lease_owner.is_(None),
        )
        .values(changes)
    )
    await manual_actions.note(
        db,
        owner=request.owner,
        caller=request.requested_by,
        method=METHOD,
        resource=request.name,
        changes=[{"field": "state", "before": row.state, "after": "due now"}],
    )


async def remember(db: AsyncConnection, request: ResendRequest) -> bool:
    """
    Note the request's id; False where it was noted before. Raises `RequestIdReused`.
    """
    if not request.request_id:
        return True
    same_id = sa.select(request_ids.c.method, request_ids.c.resource).where(
        request_ids.c.owner == request.owner, request_ids.c.request_id == request.request_id
    )
    known = (await db.execute(same_id)).one_or_none()
    if known is not None:
        if tuple(known) != (METHOD, request.name):
            raise RequestIdReused(METHOD)
        return False
    row = {"owner": request.owner, "request_id": request.request_id, "method": METHOD}
    row |= {"resource": request.name}
    await db.execute(sa.insert(request_ids).values(**row, create_time=database_now()))
    return True

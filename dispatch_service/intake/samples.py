"""
Sending a sample to one subscription, through the same queue as everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dispatch_service.domain.errors import (
    RequestIdReused,
    SubscriptionInactive,
    SubscriptionNotFound,
)
from dispatch_service.intake.accept import Intake
from dispatch_service.intake.sample_events import sample_event
from dispatch_service.log import audit
from dispatch_service.log.events import deliveries_of
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.database.engine import writing
from service_runtime.rpc import names
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

METHOD = "SendTestEvent"


class Samples:
    """
    Sends samples. *clock* gives the time at which they say that they happened.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        intake: Intake,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._intake = intake
        self._clock = clock

    async def send(self, name: str, request_id: str, requested_by: str) -> str:
        """
        Send the sample of its event type to the subscription *name*; return the delivery.

        The id of the event is made of *request_id*, a UUID, so a call that is
        repeated with it finds the first one's delivery. Raises
        `SubscriptionNotFound`, `SubscriptionInactive`, `RequestIdReused`.
        """
        subscription = self._wanted(name)
        test_id = request_id.replace("-", "").lower() or new_id()
        event = sample_event(subscription, test_id, self._clock())
        made = await self._made(subscription, event)
        if name not in made:
            async with writing(self._engine) as db:
                owner = subscription.owner
                await audit.note(db, owner=owner, caller=requested_by, method=METHOD, resource=name)
            await self._intake.accept_test(event, subscription, requested_by)
            made = await self._made(subscription, event)
        if name not in made:
            raise RequestIdReused(METHOD)
        return names.delivery(subscription.owner, made[name])

    async def _made(self, subscription: Subscription, event: event_pb2.Event) -> Mapping[str, str]:
        return await deliveries_of(
            self._engine, [subscription.owner], event.account_id, event.event_id
        )

    def _wanted(self, name: str) -> Subscription:
        subscription = self._subscriptions.by_name.get(name)
        if subscription is None or subscription.deleted:
            raise SubscriptionNotFound(name)
        if not subscription.active:
            raise SubscriptionInactive(name)
        return subscription

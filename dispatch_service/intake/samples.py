"""
Sending a sample event to one subscription, through the same queue as all other events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dispatch_service.domain.errors import (
    SubscriptionInactive,
    SubscriptionNotFound,
)
from dispatch_service.intake.accept import EventAcceptor
from dispatch_service.intake.prepare import SampleRequest
from dispatch_service.log.events import deliveries_of
from dispatch_service.payloads import example_event
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import writing
from service_runtime.rpc import names
from service_runtime.rpc.request_ids import RequestIdReused
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

METHOD = "SendTestEvent"

PREFIX = "test_"
"""
The beginning of the ids of sample events.
"""


class Samples:
    """
    Sends sample events. *clock* gives the time at which they say that they happened.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        acceptor: EventAcceptor,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._acceptor = acceptor
        self._audit = audit
        self._clock = clock

    async def send(self, name: str, request_id: str, requested_by: str) -> str:
        """
        Send the sample of its event type to the subscription *name*; return the name of the
        delivery.

        The id of the event is made of *request_id*, a UUID, so a repeated call finds the
        delivery of the first. Raises `SubscriptionNotFound`, `SubscriptionInactive`,
        `RequestIdReused`, and what `EventAcceptor.accept_sample` raises.
        """
        subscription = self._active(name)
        sample_id = request_id.replace("-", "").lower() or new_id()
        event = sample_event(subscription, sample_id, self._clock())
        sent = await self._sent(subscription, event)
        if name not in sent:
            async with writing(self._engine) as db:
                await self._audit.record(db, METHOD, name, caller=requested_by)
            await self._acceptor.accept_sample(event, SampleRequest(subscription, requested_by))
            sent = await self._sent(subscription, event)
        if name not in sent:
            raise RequestIdReused(METHOD)
        return names.delivery(subscription.owner, sent[name])

    async def _sent(self, subscription: Subscription, event: event_pb2.Event) -> Mapping[str, str]:
        """
        Map the subscriptions that the event was sent to, to their deliveries.
        """
        return await deliveries_of(
            self._engine, [subscription.owner], event.account_id, event.event_id
        )

    def _active(self, name: str) -> Subscription:
        subscription = self._subscriptions.by_name.get(name)
        if subscription is None or subscription.deleted:
            raise SubscriptionNotFound(name)
        if not subscription.active:
            raise SubscriptionInactive(name)
        return subscription


def sample_event(subscription: Subscription, sample_id: str, now: datetime) -> event_pb2.Event:
    """
    Make the sample event of a subscription: the example of its event type, as if it had
    happened just now to the owner.
    """
    event = example_event(subscription.event_type)
    event.event_id = f"{PREFIX}{sample_id}"
    event.occurred_at.FromDatetime(now)
    kind, _, owner_id = subscription.owner.partition("/")
    if kind == "accounts":
        event.account_id = int(owner_id)
    else:
        event.warehouses[:] = [owner_id]
    return event

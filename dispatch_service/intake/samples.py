"""
Sending a test event to one subscription, through the same queue as all other events: the sample
of its event type, or an event that somebody chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dispatch_service.domain.errors import (
    EventInvalid,
    EventTypeNotRaised,
    SubscriptionInactive,
    SubscriptionNotFound,
)
from dispatch_service.intake.accept import EventAcceptor
from dispatch_service.intake.prepare import SampleRequest
from dispatch_service.log.events import deliveries_of
from dispatch_service.payloads import check, example_event
from dispatch_service.payloads.core.warehouses import warehouses_of
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.audit.entries import AuditChange
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import writing
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.request_ids import RequestIdReused
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

METHOD = "SendTestEvent"

PREFIX = "test_"
"""
The beginning of the ids of test events.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """
    The event that a test sends. It was accepted before under the name *accepted*, if that is not
    empty.
    """

    event: event_pb2.Event
    accepted: str = ""

    def changes(self) -> Iterable[AuditChange]:
        """
        Return what the audit log says of it.
        """
        return [AuditChange("accepted_event", after=self.accepted)] if self.accepted else []

    def fault(self, path: str, rule: str) -> InvalidArgument:
        """
        Return the error that says that the event, at *path* in it, breaks a *rule*.
        """
        field = "accepted_event" if self.accepted else f"event.{path}"
        return InvalidArgument("The request is not valid.", faults=[FieldFault(field, rule)])


class Samples:
    """
    Sends test events. *clock* gives the time at which they say that they happened.
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

    async def send(
        self, name: str, request_id: str, requested_by: str, source: Source | None = None
    ) -> str:
        """
        Send the event of *source*, or without one the sample of its event type, to the
        subscription *name*; return the name of the delivery.

        The id of the event is made of *request_id*, a UUID, so a repeated call finds the
        delivery of the first. Raises `SubscriptionNotFound`, `SubscriptionInactive`,
        `RequestIdReused`, and what `chosen_event` and `EventAcceptor.accept_sample` raise.
        """
        subscription = self._active(name)
        event_id = PREFIX + (request_id.replace("-", "").lower() or new_id())
        if source is None:
            event = sample_event(subscription, event_id, self._clock())
        else:
            event = chosen_event(subscription, event_id, source)
        sent = await self._sent(subscription, event)
        if name not in sent:
            async with writing(self._engine) as db:
                changes = source.changes() if source else ()
                await self._audit.record(db, METHOD, name, changes, caller=requested_by)
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


def sample_event(subscription: Subscription, event_id: str, now: datetime) -> event_pb2.Event:
    """
    Make the sample event of a subscription: the example of its event type, as if it had
    happened just now to the owner.
    """
    event = example_event(subscription.event_type)
    event.event_id = event_id
    event.occurred_at.FromDatetime(now)
    kind, _, owner_id = subscription.owner.partition("/")
    if kind == "accounts":
        event.account_id = int(owner_id)
    else:
        event.warehouses[:] = [owner_id]
    return event


def chosen_event(subscription: Subscription, event_id: str, source: Source) -> event_pb2.Event:
    """
    Make the test event of a subscription from the event of *source*: the same under another id.
    What it does not say of its owner is that of the subscription.

    Raises `EventInvalid`, `EventTypeNotRaised`, and `InvalidArgument` where it concerns others.
    """
    event = event_pb2.Event()
    event.CopyFrom(source.event)
    event.event_id = event_id
    _give_owner(event, subscription.owner, source)
    # The rules may have changed since an accepted one was checked.
    if not source.accepted and (faults := check(event)):
        raise EventInvalid([(f"event.{path}", text) for path, text in faults])
    raised = [it.event_type for it in read_facts(event).event_types]
    if subscription.event_type not in raised:
        raise EventTypeNotRaised(subscription.event_type, raised)
    return event


def _give_owner(event: event_pb2.Event, owner: str, source: Source) -> None:
    """
    Fill in the owner of a subscription where an event has none. Raises `InvalidArgument` where it
    has others.
    """
    kind, _, owner_id = owner.partition("/")
    if kind == "accounts":
        event.account_id = event.account_id or int(owner_id)
        if event.account_id != int(owner_id):
            raise source.fault("account_id", f"must be of {owner}, the owner of the subscription")
    elif event.WhichOneof("payload") is not None:
        named = warehouses_of(event)
        if not named:
            event.warehouses[:] = [owner_id]
        elif owner_id not in named:
            raise source.fault("warehouses", f"must name {owner}, the owner of the subscription")

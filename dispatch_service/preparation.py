"""
What follows from an event, worked out before it is stored: who gets it, the
payloads, the deliveries. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from dispatch_service.bodies import Bodies, new_body, render_bodies
from dispatch_service.deliveries import Trigger, lifetime
from dispatch_service.event_store import handed_over, new_event
from dispatch_service.ids import new_id
from dispatch_service.outcomes import FailureKind
from dispatch_service.queue import Claimed, NewDelivery, NewEvent
from dispatch_service.routing import Facts, Routed, match, read_facts
from dispatch_service.sample_events import resource_of_test
from dispatch_service.sealing import Sealer
from dispatch_service.subscriptions import Subscription, SubscriptionIndex
from shipedge.webhooks.events.v1 import event_pb2

Reserve = Callable[[str, str, str, int], bool]
"""
Keeps a place in memory for a delivery that is about to be stored, by its owner,
subscription, endpoint and the size of its payload; False if there is none.
"""


def nowhere(_owner: str, _subscription: str, _endpoint: str, _size: int) -> bool:
    """
    Keep no place: the delivery waits in the table until it is claimed.
    """
    return False


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """
    An event with all that follows from it, ready to be committed.

    *handover* are the deliveries that have a place in memory, with their bodies;
    *suppressed* the subscriptions that would get it if they were not Inactive.
    """

    event: NewEvent
    handover: Sequence[tuple[Claimed, bytes]] = ()
    suppressed: Sequence[Subscription] = ()


class Cause(msgspec.Struct, frozen=True, gc=False):
    """
    Why deliveries are made.
    """

    trigger: Trigger = Trigger.EVENT
    requested_by: str | None = None


_OF_EVENT = Cause()


class Preparer:
    """
    Prepares events for the store with the subscriptions as they are now.
    """

    def __init__(self, subscriptions: SubscriptionIndex) -> None:
        self._subscriptions = subscriptions

    def prepare(
        self,
        event: event_pb2.Event,
        sealer: Sealer,
        reserve: Reserve = nowhere,
        content: bytes | None = None,
    ) -> Prepared:
        """
        Find, render and seal all that follows from an event that passed the checks.

        *content* is its deterministic serialisation, where the caller has it.
        """
        facts = read_facts(event)
        routed = match(facts, self._subscriptions)
        return self._follow(event, facts, routed, sealer, _OF_EVENT, reserve, content)

    def prepare_test(
        self,
        event: event_pb2.Event,
        subscription: Subscription,
        requested_by: str,
        sealer: Sealer,
        reserve: Reserve,
    ) -> Prepared:
        """
        Prepare a sample with one delivery, to *subscription*, whatever its filter says.
        """
        facts = replace(read_facts(event), resource=resource_of_test(event))
        cause = Cause(Trigger.TEST, requested_by)
        return self._follow(event, facts, Routed((subscription,)), sealer, cause, reserve)

    def _follow(
        self,
        event: event_pb2.Event,
        facts: Facts,
        routed: Routed,
        sealer: Sealer,
        cause: Cause,
        reserve: Reserve,
        content: bytes | None = None,
    ) -> Prepared:
        bodies = render_bodies(event, routed.subscriptions)
        stored = new_event(
            event,
            facts,
            sealer,
            matched=True,
            bodies=[new_body(event, key, body, sealer) for key, body in bodies.stored()],
            deliveries=[self._delivery(it, bodies, cause, reserve) for it in routed.subscriptions],
            content=content,
        )
        handover = [
            (handed_over(stored, it), bodies.of(it.event_type, it.payload_version))
            for it in stored.deliveries
            if it.leased
        ]
        return Prepared(stored, handover, routed.suppressed)

    def _delivery(
        self, subscription: Subscription, bodies: Bodies, cause: Cause, reserve: Reserve
    ) -> NewDelivery:
        owner, name, endpoint = (
            subscription.owner,
            subscription.subscription_id,
            subscription.endpoint,
        )
        size = bodies.size(subscription.event_type, subscription.payload_version)
        return NewDelivery(
            owner=owner,
            delivery_id=new_id(),
            subscription=name,
            event_type=subscription.event_type,
            payload_version=subscription.payload_version,
            endpoint=endpoint,
            url_shown=subscription.url_shown,
            url_hash=subscription.url_hash,
            lifetime=lifetime(self._subscriptions.schedule_of(subscription)),
            leased=size is not None and reserve(owner, name, endpoint, size),
            ordered=subscription.ordered and cause.trigger is Trigger.EVENT,
            trigger=cause.trigger,
            requested_by=cause.requested_by,
            failure_kind=FailureKind.RENDER if size is None else None,
        )


def prepare_waiting(
    event: event_pb2.Event, sealer: Sealer, content: bytes | None = None
) -> Prepared:
    """
    Prepare an event that is matched later: there is no snapshot of the subscriptions yet.
    """
    return Prepared(new_event(event, read_facts(event), sealer, matched=False, content=content))

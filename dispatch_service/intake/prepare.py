"""
What is stored of an event: its sealed content, the subscriptions that get it, their payloads
and deliveries. No database, network or clock: keys and the maker of ids are passed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.erasure_subjects import subject_of
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import TEST_RESOURCES, Trigger, lifetime
from dispatch_service.domain.work import NewBody, NewDelivery, NewEvent
from dispatch_service.intake.bodies import render_bodies, seal_bodies
from dispatch_service.routing.facts import Facts, read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import Routed, match
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import Sealer
from shipedge.webhooks.events.v1 import event_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

serialised = partial(event_pb2.Event.SerializeToString, deterministic=True)
"""
Serialises an event as it is hashed and stored.
"""


class Prepared(Confidential, frozen=True, gc=False):
    """
    An event with all that follows from it, ready to be committed.

    *payloads* are those of its deliveries, in their order; None where rendering failed.
    *skipped* are the subscriptions that would get it if they were not Inactive.
    """

    event: NewEvent
    payloads: Sequence[bytes | None] = ()
    skipped: Sequence[Subscription] = ()


class SampleRequest(msgspec.Struct, frozen=True, gc=False):
    """
    A request to send a sample event to one subscription, whatever its filter says.
    """

    subscription: Subscription
    requested_by: str


class Cause(msgspec.Struct, frozen=True, gc=False):
    """
    Why deliveries are made; *replayed*: a replay was asked for.
    """

    trigger: Trigger = Trigger.EVENT
    requested_by: str | None = None
    replayed: bool = False


PUBLISHED = Cause()
"""
The cause of most: their event was published.
"""


class _Batch(msgspec.Struct, frozen=True, gc=False):
    """
    Events with what is known of each, in the same order.
    """

    events: Sequence[event_pb2.Event]
    contents: Sequence[bytes]
    facts: Sequence[Facts]
    routed: Sequence[Routed]


class Preparer:
    """
    Prepares events that passed the checks, with the subscriptions as they are now.
    """

    def __init__(self, subscriptions: SubscriptionIndex, new_id: Callable[[], str]) -> None:
        self._subscriptions = subscriptions
        self._new_id = new_id

    def prepare_published(
        self, events: Sequence[event_pb2.Event], sealer: Sealer, contents: Sequence[bytes]
    ) -> list[Prepared]:
        """
        Prepare published events. Those that come before a complete snapshot of the
        subscriptions get no deliveries yet and are matched later.
        """
        if self._subscriptions.complete:
            return self.prepare(events, sealer, contents)
        return [
            Prepared(seal_event(event, content, read_facts(event), sealer, matched=False))
            for event, content in zip(events, contents, strict=True)
        ]

    def prepare(
        self,
        events: Sequence[event_pb2.Event],
        sealer: Sealer,
        contents: Sequence[bytes] | None = None,
    ) -> list[Prepared]:
        """
        Match events, and prepare what follows.

        *contents* are their deterministic serialisations, if the caller has them.
        """
        facts = [read_facts(event) for event in events]
        routed = [match(of_event, self._subscriptions) for of_event in facts]
        if contents is None:
            contents = [serialised(event) for event in events]
        return self._prepare_batch(_Batch(events, contents, facts, routed), sealer, PUBLISHED)

    def prepare_routed(
        self,
        events: Sequence[event_pb2.Event],
        routed: Sequence[Routed],
        sealer: Sealer,
        cause: Cause = PUBLISHED,
    ) -> list[Prepared]:
        """
        Prepare events for the subscriptions that were found for each of them.
        """
        facts = [read_facts(event) for event in events]
        contents = [serialised(event) for event in events]
        return self._prepare_batch(_Batch(events, contents, facts, routed), sealer, cause)

    def prepare_sample(
        self, event: event_pb2.Event, sealer: Sealer, content: bytes, request: SampleRequest
    ) -> Prepared:
        """
        Prepare a sample event with the one delivery that was asked for.
        """
        facts = replace(read_facts(event), resource=f"{TEST_RESOURCES}{event.event_id}")
        batch = _Batch([event], [content], [facts], [Routed((request.subscription,))])
        (prepared,) = self._prepare_batch(batch, sealer, Cause(Trigger.TEST, request.requested_by))
        return prepared

    def _prepare_batch(self, batch: _Batch, sealer: Sealer, cause: Cause) -> list[Prepared]:
        """
        Render and seal the bodies of matched events, make their deliveries and seal them.

        Each step runs for the whole batch before the next one. Meanwhile its code stays in
        the processor's caches, which saves a quarter of the time.
        """
        bodies = [
            render_bodies(event, routed.subscriptions)
            for event, routed in zip(batch.events, batch.routed, strict=True)
        ]
        sealed = [
            seal_bodies(event, of_event, sealer)
            for event, of_event in zip(batch.events, bodies, strict=True)
        ]
        payloads = [
            [of_event.rendered[it.event_type, it.payload_version] for it in routed.subscriptions]
            for of_event, routed in zip(bodies, batch.routed, strict=True)
        ]
        deliveries = [
            [
                self._delivery(it, cause, body)
                for it, body in zip(routed.subscriptions, of_event, strict=True)
            ]
            for routed, of_event in zip(batch.routed, payloads, strict=True)
        ]
        stored = [
            seal_event(event, content, facts, sealer, bodies=of_event, deliveries=made)
            for event, content, facts, of_event, made in zip(
                batch.events, batch.contents, batch.facts, sealed, deliveries, strict=True
            )
        ]
        return [
            Prepared(event, of_event, routed.skipped)
            for event, of_event, routed in zip(stored, payloads, batch.routed, strict=True)
        ]

    def _delivery(
        self, subscription: Subscription, cause: Cause, body: bytes | None
    ) -> NewDelivery:
        return NewDelivery(
            owner=subscription.owner,
            delivery_id=self._new_id(),
            subscription=subscription.subscription_id,
            event_type=subscription.event_type,
            payload_version=subscription.payload_version,
            endpoint=subscription.endpoint,
            url_shown=subscription.url_shown,
            url_hash=subscription.url_hash,
            lifetime=lifetime(self._subscriptions.schedule_of(subscription)),
            ordered=subscription.ordered and cause.trigger is Trigger.EVENT,
            trigger=cause.trigger,
            requested_by=cause.requested_by,
            replayed=cause.replayed,
            failure_kind=FailureKind.RENDER if body is None else None,
        )


def seal_event(
    event: event_pb2.Event,
    content: bytes,
    facts: Facts,
    sealer: Sealer,
    *,
    matched: bool = True,
    bodies: Sequence[NewBody] = (),
    deliveries: Sequence[NewDelivery] = (),
) -> NewEvent:
    """
    Seal an event for its row, with what follows from it.

    *content* is its deterministic serialisation.
    """
    account, event_id, at = event.account_id, event.event_id, event.occurred_at
    subject = subject_of(facts.payload, sealer.hashed)
    return NewEvent(
        account=account,
        event_id=event_id,
        sha256=hashlib.sha256(content).digest(),
        domain_event=facts.domain_event,
        resource=facts.resource,
        sequence=event.sequence,
        # By position: names cost half as much again.
        occurred_at=_EPOCH + timedelta(0, at.seconds, at.nanos // 1000),
        matched=matched,
        warehouses=facts.warehouses,
        bodies=bodies,
        deliveries=deliveries,
        order_id=subject.order_id,
        email_hash=subject.email_hash,
        order_number_hash=subject.order_number_hash,
        sealed_payload=sealer.seal(content, associated_data.event(account, event_id)),
    )

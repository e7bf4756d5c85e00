"""
From a published event to its place in the group commit: checked, routed,
rendered once per event type and version, sealed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatch_service.bodies import Bodies, new_body, render_bodies
from dispatch_service.committer import GroupCommitter
from dispatch_service.deliveries import Trigger, lifetime
from dispatch_service.errors import EventIdReused, EventInvalid
from dispatch_service.event_store import content_hash, find, handed_over, new_event
from dispatch_service.ids import new_id
from dispatch_service.lanes import Lanes
from dispatch_service.outcomes import FailureKind
from dispatch_service.payloads import check
from dispatch_service.queue import Claimed, NewDelivery, NewEvent, Receipt
from dispatch_service.routing import match, read_facts
from dispatch_service.sample_events import resource_of_test
from dispatch_service.sealing import DayKeys, Sealer
from dispatch_service.subscriptions import Subscription, SubscriptionIndex
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    An event with all that follows from it, ready to be committed.

    *handover* are the deliveries that have a place in memory, with their bodies.
    """

    event: NewEvent
    handover: Sequence[tuple[Claimed, bytes]]


@dataclass(frozen=True, slots=True)
class Cause:
    """
    Why deliveries are made; those *in_memory* are handed over where there is a place.
    """

    trigger: Trigger = Trigger.EVENT
    requested_by: str | None = None
    in_memory: bool = True


class Intake:
    """
    Accepts events: each ends as committed or with the error that its publisher sees.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        keys: DayKeys,
        lanes: Lanes,
        committer: GroupCommitter,
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._keys = keys
        self._lanes = lanes
        self._committer = committer

    async def accept(self, events: Sequence[event_pb2.Event]) -> list[Receipt | Exception]:
        """
        Commit *events*; return, in order, what was stored or why it was not.

        Raises `BacklogFull` before anything is done.
        """
        self._committer.check_room(len(events))
        sealer = await self._keys.today()
        submitted = [(event, self._submit(event, sealer)) for event in events]
        return [await self._settled(event, answer) for event, answer in submitted]

    def _submit(
        self, event: event_pb2.Event, sealer: Sealer
    ) -> asyncio.Future[Receipt] | EventInvalid:
        if faults := check(event):
            return EventInvalid(faults)
        prepared = self.prepare(event, sealer)
        return self._committer.submit(prepared.event, prepared.handover)

    def prepare(self, event: event_pb2.Event, sealer: Sealer) -> Prepared:
        """
        Find, render and seal all that follows from an event that passed the checks.

        Without a snapshot of the subscriptions it is stored to be matched later.
        """
        facts = read_facts(event)
        stored = new_event(event, facts, sealer, matched=self._subscriptions.complete)
        if not self._subscriptions.complete:
            return Prepared(stored, ())
        wanting = match(facts, self._subscriptions).subscriptions
        return self._follow(event, stored, wanting, sealer, Cause())

    def prepare_late(self, event: event_pb2.Event, sealer: Sealer) -> NewEvent:
        """
        Do the same for an event that waited for a snapshot; nothing is handed over.
        """
        facts = read_facts(event)
        stored = new_event(event, facts, sealer, matched=True)
        wanting = match(facts, self._subscriptions).subscriptions
        return self._follow(event, stored, wanting, sealer, Cause(in_memory=False)).event

    async def accept_test(
        self, event: event_pb2.Event, subscription: Subscription, requested_by: str
    ) -> Receipt:
        """
        Commit a sample *event* with one delivery, to *subscription*, whatever its filter says.

        Raises `BacklogFull`, `StoreUnavailable`.
        """
        self._committer.check_room(1)
        sealer = await self._keys.today()
        facts = replace(read_facts(event), resource=resource_of_test(event))
        stored = new_event(event, facts, sealer, matched=True)
        cause = Cause(Trigger.TEST, requested_by)
        prepared = self._follow(event, stored, [subscription], sealer, cause)
        return await self._committer.submit(prepared.event, prepared.handover)

    def _follow(
        self,
        event: event_pb2.Event,
        stored: NewEvent,
        subscriptions: Sequence[Subscription],
        sealer: Sealer,
        cause: Cause,
    ) -> Prepared:
        bodies = render_bodies(event, subscriptions)
        deliveries = [self._delivery(it, bodies, cause) for it in subscriptions]
        return Prepared(
            replace(
                stored,
                bodies=[new_body(event, key, body, sealer) for key, body in bodies.stored()],
                deliveries=deliveries,
            ),
            [
                (handed_over(stored, it), bodies.of(it.event_type, it.payload_version))
                for it in deliveries
                if it.leased
            ],
        )

    def _delivery(self, subscription: Subscription, bodies: Bodies, cause: Cause) -> NewDelivery:
        endpoint = subscription.endpoint
        failed = bodies.failed(subscription.event_type, subscription.payload_version)
        return NewDelivery(
            owner=subscription.owner,
            delivery_id=new_id(),
            subscription=subscription.subscription_id,
            event_type=subscription.event_type,
            payload_version=subscription.payload_version,
            endpoint=endpoint,
            url_shown=subscription.url_shown,
            url_hash=subscription.url_hash,
            lifetime=lifetime(self._subscriptions.schedule_of(subscription)),
            leased=cause.in_memory
            and not failed
            and self._lanes.reserve((subscription.owner, endpoint)),
            trigger=cause.trigger,
            requested_by=cause.requested_by,
            failure_kind=FailureKind.RENDER if failed else None,
        )

    async def _settled(
        self, event: event_pb2.Event, answer: asyncio.Future[Receipt] | EventInvalid
    ) -> Receipt | Exception:
        if isinstance(answer, EventInvalid):
            return answer
        try:
            receipt = await answer
            if not receipt.fresh and receipt.sha256 != content_hash(event):
                await self._compare(event)
        except Exception as error:  # noqa: BLE001 - each event is answered by itself
            return error
        return receipt

    async def _compare(self, event: event_pb2.Event) -> None:
        """
        Raise `EventIdReused` unless the stored event says the same in other bytes.
        """
        stored = await find(self._engine, self._keys, event.account_id, event.event_id)
        if stored is None or stored.event != event:
            raise EventIdReused(event.account_id, event.event_id)

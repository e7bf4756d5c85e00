"""
Matching: which subscriptions want an event. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from dispatch_service.routing.facts import Facts
from dispatch_service.routing.filters import why_filtered
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Subscription
from shipedge.webhooks.catalogue import EventType
from shipedge.webhooks.events.v1.catalogue_pb2 import OWNER_FEATURE_UNSPECIFIED


class Subscriptions(Protocol):
    """
    The view of the subscriptions that matching needs.
    """

    def live(self, owner: str) -> Mapping[str, Mapping[str, Subscription]]: ...

    def settings(self, owner: str) -> OwnerSettings: ...


class Routed(msgspec.Struct, frozen=True, gc=False):
    """
    The Active subscriptions that want an event, and the Inactive ones that would.
    """

    subscriptions: tuple[Subscription, ...]
    skipped: tuple[Subscription, ...] = ()


def match(facts: Facts, subscriptions: Subscriptions) -> Routed:
    """
    Return the subscriptions that want an event.

    The cost depends on the subscriptions of its owners to its event types, not on the number of
    all subscriptions.
    """
    wanting = [
        subscription
        for owner in facts.owners
        if (live := subscriptions.live(owner))
        for event_type in facts.event_types
        if (alike := live.get(event_type.event_type))
        for subscription in alike.values()
        if may_subscribe(subscription, event_type, subscriptions.settings(owner))
        and why_filtered(subscription, event_type, facts) is None
    ]
    active = tuple([it for it in wanting if it.active])
    if len(active) == len(wanting):
        return Routed(active)
    return Routed(active, tuple([it for it in wanting if not it.active]))


def may_subscribe(
    subscription: Subscription, event_type: EventType, settings: OwnerSettings
) -> bool:
    """
    Tell whether the owner of a subscription may get events of a type: warehouses do not get all
    types, and some need a feature in the owner's *settings*.
    """
    if subscription.of_warehouse and not event_type.warehouse:
        return False
    needed = event_type.feature
    return needed == OWNER_FEATURE_UNSPECIFIED or needed in settings.features

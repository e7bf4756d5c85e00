"""
The subscriptions in memory, found by name, by owner and id, or by owner and event type. No I/O,
no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Any

from dispatch_service.domain.authentication import ClientIdentity, CompiledCredential
from dispatch_service.domain.transitions import DEFAULT_RETRY_SCHEDULE
from dispatch_service.routing.owner_settings import DEFAULT_SETTINGS, OwnerSettings
from dispatch_service.routing.subscriptions import (
    SharedKeys,
    SigningKey,
    Subscription,
    SubscriptionKey,
)
from service_runtime.rpc import names
from shipedge.webhooks.catalogue import CATALOGUE

_NONE: Mapping[str, Any] = {}


@dataclass(slots=True)
class SubscriptionIndex:
    """
    The subscriptions, credentials, client certificates, signing keys and settings that the feed
    brought.

    *received*: a snapshot was received at least once in the life of the database.
    *complete*: the events that waited for the snapshot have been matched.
    *limited*: keys of the subscriptions with a limit on concurrency or rate.
    *unverified*: subscriptions that are Inactive until their URL has answered a challenge, by name.
    *held*: names of subscriptions that match nothing and whose deliveries wait, with their
    revisions: the feed lacks them without having deleted them, or they cannot be used.
    Changes happen between two awaits of one event loop, so readers see whole changes.
    """

    received: bool = False
    complete: bool = False
    by_name: dict[str, Subscription] = field(default_factory=dict)
    by_key: dict[SubscriptionKey, Subscription] = field(default_factory=dict)
    credentials: dict[str, CompiledCredential] = field(default_factory=dict)
    identities: dict[str, ClientIdentity] = field(default_factory=dict)
    signing_keys: dict[str, SharedKeys] = field(default_factory=dict)
    limited: set[SubscriptionKey] = field(default_factory=set)
    held: dict[str, int] = field(default_factory=dict)
    unverified: dict[str, Subscription] = field(default_factory=dict)
    _live: dict[str, dict[str, dict[str, Subscription]]] = field(default_factory=dict)
    _others: dict[str, dict[str, Subscription]] = field(default_factory=dict)
    _overrides: dict[str, int] = field(default_factory=dict)
    _settings: dict[str, OwnerSettings] = field(default_factory=dict)

    def live(self, owner: str) -> Mapping[str, Mapping[str, Subscription]]:
        """
        Return the subscriptions of *owner* by event type and name: Inactive ones too, deleted
        ones not.
        """
        return self._live.get(owner, _NONE)

    def fan_out(self, owner: str) -> int:
        """
        Return how many subscriptions of *owner* there are of the event type that has most.
        """
        return max(map(len, self.live(owner).values()), default=0)

    def of_owner(self, owner: str) -> Iterator[Subscription]:
        """
        Yield the subscriptions of *owner* that are not deleted, in the order of the catalogue.
        """
        live = self.live(owner)
        for event_type in CATALOGUE.event_types:
            yield from live.get(event_type, _NONE).values()

    def all_of_owner(self, owner: str) -> Iterator[Subscription]:
        """
        Yield the subscriptions of *owner* that are known, then those deleted or held.
        """
        yield from self.of_owner(owner)
        yield from self._others.get(owner, _NONE).values()

    def unknown_held(self, owner: str) -> list[str]:
        """
        Return the names of held subscriptions of *owner* of which nothing else is known.
        """
        mine = [it for it in self.held if names.owner_in(it) == owner and it not in self.by_name]
        return list(filter(names.is_subscription, mine))

    def names(self) -> set[str]:
        """
        Return the names of all that the feed brought.
        """
        settings = map(names.settings, self._settings)
        used = (self.credentials, self.identities, self.signing_keys)
        return {*self.by_name, *self.held, *chain.from_iterable(used), *settings}

    def held_revision(self, key: SubscriptionKey) -> int | None:
        """
        Return the revision at which a subscription is held, None if it is not.
        """
        return self.held.get(names.subscription(*key)) if self.held else None

    def settings(self, owner: str) -> OwnerSettings:
        """
        Return the settings of *owner*: the defaults where the feed brought none.
        """
        return self._settings.get(owner, DEFAULT_SETTINGS)

    def put(self, subscription: Subscription) -> None:
        """
        Add *subscription*, or replace its former revision, and hold it no longer. An override
        keeps it Inactive.
        """
        self.held.pop(subscription.name, None)
        self._put(subscription)

    def hold(self, name: str, revision: int) -> None:
        """
        Match nothing with the subscription *name* from now on, which may not be known at all.
        """
        self.held[name] = revision
        known = self.by_name.get(name)
        if known is not None:
            self._put(known)

    def _put(self, subscription: Subscription) -> None:
        self._remove_subscription(subscription.name)
        is_held = subscription.name in self.held
        if is_held or self._overrides.get(subscription.name, -1) >= subscription.revision:
            subscription = replace(subscription, active=False)
        self.by_name[subscription.name] = self.by_key[subscription.key] = subscription
        if subscription.max_concurrency or subscription.rate_limit:
            self.limited.add(subscription.key)
        if subscription.unverified and not (subscription.deleted or is_held):
            self.unverified[subscription.name] = subscription
        if subscription.deleted or is_held:
            self._others.setdefault(subscription.owner, {})[subscription.name] = subscription
        else:
            live = self._live.setdefault(subscription.owner, {})
            live.setdefault(subscription.event_type, {})[subscription.name] = subscription

    def remove(self, name: str) -> None:
        """
        Remove what is called *name*, if it is there. Settings are then the defaults.
        """
        self.held.pop(name, None)
        self.credentials.pop(name, None)
        self.identities.pop(name, None)
        self.signing_keys.pop(name, None)
        if name.endswith("/settings"):
            self._settings.pop(names.owner_of(name), None)
        self._remove_subscription(name)

    def _remove_subscription(self, name: str) -> None:
        old = self.by_name.pop(name, None)
        if old is None:
            return
        del self.by_key[old.key]
        self.limited.discard(old.key)
        self.unverified.pop(name, None)
        others = self._others.get(old.owner, {})
        others.pop(name, None)
        if not others:
            self._others.pop(old.owner, None)
        live = self._live.get(old.owner, {})
        same_type = live.get(old.event_type, {})
        same_type.pop(name, None)
        if not same_type:
            live.pop(old.event_type, None)
        if not live:
            self._live.pop(old.owner, None)

    def override(self, revisions: Mapping[str, int]) -> None:
        """
        Treat each named subscription as Inactive up to and including its revision.
        """
        for name, revision in revisions.items():
            if self._overrides.get(name) != revision:
                self._overrides[name] = revision
                known = self.by_name.get(name)
                if known is not None:
                    self._put(known)

    def lift_override(self, name: str, revision: int) -> None:
        """
        Forget the override of a subscription, unless it is of *revision*.
        """
        if self._overrides.get(name) != revision:
            self._overrides.pop(name, None)

    def settings_of_warehouses(self) -> list[OwnerSettings]:
        """
        Return the settings of all warehouses that have set any.
        """
        return [settings for owner, settings in self._settings.items() if names.is_warehouse(owner)]

    def put_settings(self, owner: str, settings: OwnerSettings) -> None:
        """
        Replace the settings of *owner*.
        """
        self._settings[owner] = settings

    def keys_of(self, subscription: Subscription) -> Sequence[SigningKey]:
        """
        Return the keys that sign the requests of a subscription; none if they are not known.
        """
        if not subscription.signing_key:
            return subscription.keys
        shared = self.signing_keys.get(subscription.signing_key)
        return () if shared is None else shared.of(subscription)

    def schedule_of(self, subscription: Subscription) -> tuple[timedelta, ...]:
        """
        Return the delays after the first attempt: the subscription's own schedule, otherwise
        its owner's, otherwise the default.
        """
        return (
            subscription.schedule
            or self.settings(subscription.owner).schedule
            or DEFAULT_RETRY_SCHEDULE
        )

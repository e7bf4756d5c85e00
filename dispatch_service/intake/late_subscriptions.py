"""
The subscriptions with which accepted events are matched late. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from dispatch_service.routing.facts import Facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import match
from dispatch_service.routing.subscriptions import Subscription
from service_runtime.rpc import names
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.events.v1 import event_pb2


@dataclass(frozen=True, slots=True)
class WantedEvents:
    """
    Which events may match: those of accounts, or of any account where a warehouse wants some,
    with certain fields of `Event.payload`.
    """

    accounts: frozenset[int]
    of_warehouses: bool
    domain_events: frozenset[str]


class PendingSubscriptions:
    """
    Subscriptions that wait to be matched late, each from an instant on. *added* is called when
    there is one more.
    """

    def __init__(self, added: Callable[[], None]) -> None:
        self._added = added
        self._since: dict[str, datetime] = {}
        self._returned: dict[str, datetime | None] = {}

    def __len__(self) -> int:
        return len(self._since)

    def add(self, name: str, since: datetime) -> None:
        """
        Have the events that were accepted from *since* on, by the own database, matched with a
        subscription.
        """
        self._since[name] = min(since, self._since.get(name, since))
        self._added()

    def returned(self, name: str, since: datetime | None) -> None:
        """
        Have looked up what a subscription missed that was held. It matches from *since* on at
        the earliest.
        """
        self._returned[name] = since
        self._added()

    def take_returned(self) -> dict[str, datetime | None]:
        """
        Take the instants of what has returned, by the names.
        """
        taken, self._returned = self._returned, {}
        return taken

    def since(self) -> dict[str, datetime]:
        """
        Return the instants by the names of the subscriptions.
        """
        return dict(self._since)

    def remove(self, since: Mapping[str, datetime]) -> None:
        """
        Remove what was returned before, unless an earlier instant was added meanwhile.
        """
        for name, at in since.items():
            if self._since[name] == at:
                del self._since[name]


class LateSubscriptions:
    """
    Subscriptions by name, each with the instant from which on events are matched with it.
    """

    def __init__(self, since: Mapping[str, datetime], known: SubscriptionIndex) -> None:
        """
        Take subscriptions as they are *known* now; those that match nothing now are left out.
        """
        self._since = since
        self._index = SubscriptionIndex()
        for name in since:
            subscription = known.by_name.get(name)
            if subscription is not None and subscription.active and not subscription.deleted:
                self._index.put(subscription)
                self._index.put_settings(subscription.owner, known.settings(subscription.owner))

    def wanted(self) -> WantedEvents | None:
        """
        Return which events may match; None if none can.
        """
        found = self._index.by_name.values()
        if not found:
            return None
        owners = {it.owner for it in found}
        of_accounts = {it for it in owners if not names.is_warehouse(it)}
        raising = _raising()
        return WantedEvents(
            frozenset(map(names.account_number, of_accounts)),
            len(of_accounts) < len(owners),
            frozenset().union(*(raising.get(it.event_type, ()) for it in found)),
        )

    def match(self, facts: Facts, accept_time: datetime) -> tuple[Subscription, ...]:
        """
        Return the subscriptions that want an event that was accepted at *accept_time*.
        """
        wanting = match(facts, self._index).subscriptions
        return tuple(it for it in wanting if self._since[it.name] <= accept_time)


@cache
def _raising() -> Mapping[str, frozenset[str]]:
    """
    Return the fields of `Event.payload` that raise each event type.
    """
    fields = event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    pairs = [
        (event_type.event_type, field.name)
        for field in fields
        for event_type, _ in CATALOGUE.raised_by(field.name)
    ]
    return {wanted: frozenset(name for it, name in pairs if it == wanted) for wanted, _ in pairs}

"""
Filters of subscriptions: whether a value of an event is wanted, and if not, why. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from dispatch_service.routing.facts import Facts
from dispatch_service.routing.subscriptions import Subscription
from shipedge.webhooks.catalogue import EventType
from shipedge.webhooks.events.v1.catalogue_pb2 import (
    FILTER_KIND_ORDER_TYPES,
    FILTER_KIND_SHIPPING_METHODS,
    FILTER_KIND_SKUS,
    FILTER_KIND_STATUSES,
    FILTER_KIND_STORES,
)

_MOST_SHOWN: Final = 5


class _Compared(NamedTuple):
    """
    A field of filters, the values of an event that it compares with, and what people call one.
    """

    field: str
    values: Callable[[Facts], frozenset[Any]]
    noun: str


_COMPARED: Final[Mapping[int, tuple[_Compared, ...]]] = {
    FILTER_KIND_STATUSES: (_Compared("statuses", lambda facts: _known(facts.status), "status"),),
    FILTER_KIND_SHIPPING_METHODS: (
        _Compared("shipping_methods", lambda facts: facts.shipping_methods, "shipping method"),
    ),
    FILTER_KIND_STORES: (
        _Compared("store_ids", lambda facts: _known(facts.store_id), "store"),
        _Compared("channels", lambda facts: facts.channels, "channel"),
    ),
    FILTER_KIND_ORDER_TYPES: (
        _Compared("order_types", lambda facts: _known(facts.order_type), "order type"),
    ),
    FILTER_KIND_SKUS: (_Compared("skus", lambda facts: facts.skus, "SKU"),),
}


def why_filtered(subscription: Subscription, event_type: EventType, facts: Facts) -> str | None:
    """
    Return why the filter of a subscription excludes an event, or None.

    Of several fields that a filter may have, one that wants the event is enough.
    """
    if not (fields := _COMPARED.get(event_type.filter_kind)):
        return None
    reasons = []
    for compared in fields:
        wanted = getattr(subscription.filter, compared.field)
        if not wanted:
            continue
        values = compared.values(facts)
        if not wanted.isdisjoint(values):
            return None
        reasons.append(_sentence(compared, wanted, values))
    return ", and ".join(reasons) or None


def _known(value: str | int) -> frozenset[Any]:
    return frozenset({value} if value else ())


def _sentence(compared: _Compared, wanted: frozenset[Any], values: frozenset[Any]) -> str:
    """
    Say that none of *values* is wanted, for people.
    """
    asked = f"{compared.field} {_listed(wanted)}"
    if not values:
        return f"the event has no {compared.noun}, where the filter has {asked}"
    if len(values) == 1:
        return f"{compared.noun} {_listed(values)} is not in {asked}"
    return f"none of the {compared.noun}s {_listed(values)} is in {asked}"


def _listed(values: Iterable[Any]) -> str:
    shown = list(map(str, sorted(values)))
    more = ", …" if len(shown) > _MOST_SHOWN else ""
    return ", ".join(shown[:_MOST_SHOWN]) + more

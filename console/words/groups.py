"""
What lists have in common, counted or put under titles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from console.words import results
from shipedge.webhooks.config.v1.event_type_pb2 import EventType
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery
from shipedge.webhooks.events.v1 import catalogue_pb2

_TITLES = {
    catalogue_pb2.EVENT_GROUP_ORDER_STATUS: "Order status changes",
    catalogue_pb2.EVENT_GROUP_ORDER_SHIPPING: "Order shipping methods",
    catalogue_pb2.EVENT_GROUP_ORDER_FULFILLMENT: "Order fulfillment types",
    catalogue_pb2.EVENT_GROUP_ORDER_ACTION: "Order actions",
    catalogue_pb2.EVENT_GROUP_INVENTORY: "Inventory",
    catalogue_pb2.EVENT_GROUP_REPLENISHMENT: "Replenishments",
    catalogue_pb2.EVENT_GROUP_RETURN: "Returns and exchanges",
    catalogue_pb2.EVENT_GROUP_WEBHOOK: "Webhooks",
}


def titled(catalogue: Sequence[EventType]) -> dict[str, list[EventType]]:
    """
    Return the event types under the titles of their groups.
    """
    groups = {
        title: [each for each in catalogue if each.group == group]
        for group, title in _TITLES.items()
    }
    return {title: events for title, events in groups.items() if events}


@dataclass(frozen=True, slots=True)
class Failures:
    """
    How many deliveries to a webhook ended for one reason. *code* is the status code of the
    response, 0 if there was none; *kind* the name of the failure, as filters have it.
    """

    subscription: str
    url: str
    reason: str
    code: int
    kind: str
    count: int


def by_reason(deliveries: Sequence[Delivery]) -> list[Failures]:
    """
    Count deliveries by webhook and reason, the most first.
    """
    counted = Counter(
        (each.subscription, each.response_code, each.failure_kind) for each in deliveries
    )
    urls = {each.subscription: each.url for each in reversed(deliveries)}
    return [
        Failures(
            subscription,
            urls[subscription],
            results.reason(code, kind),
            code,
            results.kind_name(kind) if kind else "",
            count,
        )
        for (subscription, code, kind), count in counted.most_common()
    ]

"""
Which subscriptions want an event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.match import match
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Filter, Subscription
from shipedge.webhooks.events.v1 import event_pb2
from shipedge.webhooks.events.v1.catalogue_pb2 import OWNER_FEATURE_INVENTORY_MIRROR
from tests.support.dispatch_factories import subscription
from tests.unit.dispatch_service.routing.test_facts import SHIPPED_SET, status_change


@dataclass
class Held:
    """
    Subscriptions and features in memory.
    """

    subscriptions: list[Subscription] = field(default_factory=list)
    features: frozenset[int] = frozenset()

    def live(self, owner: str) -> dict[str, dict[str, Subscription]]:
        """
        Return those of an owner by event type and name.
        """
        held: dict[str, dict[str, Subscription]] = {}
        for known in self.subscriptions:
            if known.owner == owner:
                held.setdefault(known.event_type, {})[known.name] = known
        return held

    def settings(self, _owner: str) -> OwnerSettings:
        """
        Return the same features for everybody.
        """
        return OwnerSettings(self.features)


def gets(event: event_pb2.Event, *held: Subscription, features: Any = frozenset()) -> list[str]:
    """
    Return the ids of the subscriptions that get an event.
    """
    routed = match(read_facts(event), Held(list(held), features))
    return [it.subscription_id for it in routed.subscriptions]


@pytest.mark.parametrize(
    ("event_type", "wanted", "other"),
    [
        (
            "orders/any_status_change",
            Filter(statuses=frozenset({"shipped"})),
            Filter(statuses=frozenset({"pending"})),
        ),
        (
            "orders/shipped_with_shipping_method",
            Filter(shipping_methods=frozenset({"ground"})),
            Filter(shipping_methods=frozenset({"air"})),
        ),
        (
            "orders/shipped_by_store",
            Filter(store_ids=frozenset({7, 12})),
            Filter(store_ids=frozenset({7})),
        ),
        (
            "orders/shipped_by_order_type",
            Filter(order_types=frozenset({"retail"})),
            Filter(order_types=frozenset({"wholesale"})),
        ),
        (
            "orders/shipped_items",
            Filter(skus=frozenset({"PROD-001"})),
            Filter(skus=frozenset({"prod-001"})),
        ),
    ],
)
def test_filters(event_type: str, wanted: Filter, other: Filter) -> None:
    """
    A filter lets pass what one of its values names; SKUs are compared exactly, texts are not.
    """
    passing = subscription(event_type=event_type, filter=wanted)
    blocked = subscription(event_type=event_type, filter=other)

    assert gets(example_event("orders/shipped"), passing) == [passing.subscription_id]
    assert gets(example_event("orders/shipped"), blocked) == []


@pytest.mark.parametrize(("method", "count"), [("air", 1), ("sea", 1), ("ground", 0)])
def test_filter_by_method_matches_any_shipment(method: str, count: int) -> None:
    """
    A filter by shipping method lets pass an order of which any shipment used it.
    """
    event = example_event("orders/shipped")
    order = event.order_status_changed.order
    order.shipments[0].shipping_method = "Air"
    order.shipments.add(shipping_method=" SEA ")
    event_type = "orders/shipped_with_shipping_method"
    wanting = subscription(
        event_type=event_type, filter=Filter(shipping_methods=frozenset({method}))
    )

    assert len(gets(event, wanting)) == count


@pytest.mark.parametrize(
    ("status", "label", "wanted", "count"),
    [
        ("OTHER", "Low Balance!", "other:low balance!", 1),
        ("OTHER", "Low Balance!", "low balance!", 0),
        ("OTHER", "shipped", "shipped", 0),
        ("SHIPPED", "", "other:shipped", 0),
        ("STAND_BY", "", "stand_by", 1),
        ("OTHER", "\N{FULLWIDTH LATIN CAPITAL LETTER A}B", "other:ab", 1),
    ],
)
def test_filter_by_status(status: str, label: str, wanted: str, count: int) -> None:
    """
    A status that is not listed is compared by its label, which never stands for one that is.
    """
    event = status_change("PENDING", status, to_label=label)
    wanting = subscription(
        event_type="orders/any_status_change", filter=Filter(statuses=frozenset({wanted}))
    )

    assert len(gets(event, wanting)) == count


def test_order_by_fba_raises_up_to_seven() -> None:
    """
    One subscription for each event type of an order shipped by FBA gets it once.
    """
    event = status_change("PROCESSING", "SHIPPED", "AMAZON_FBA")
    types = sorted(SHIPPED_SET | {"orders/shipped_by_amazon_fba"})
    held = [subscription(subscription_id=f"sub_{it}", event_type=it) for it in types]

    assert len(gets(event, *held)) == 7


def test_warehouse_sees_only_what_happens_there() -> None:
    """
    A warehouse gets the events that name it, of the event types that are for warehouses.
    """
    event = example_event("orders/shipped")
    event.warehouses[:] = ["wh1", "wh2"]
    held = [
        subscription(owner="warehouses/wh1", subscription_id="of-wh1"),
        subscription(owner="warehouses/wh3", subscription_id="of-wh3"),
        subscription(
            owner="warehouses/wh2",
            subscription_id="not-for-warehouses",
            event_type="orders/any_status_change",
        ),
    ]

    assert gets(event, *held) == ["of-wh1"]


def _named(event_type: str, path: str) -> event_pb2.Event:
    """
    Make an event whose envelope names no warehouse, and whose payload names `wq-1` at *path*.
    """
    event = example_event(event_type)
    del event.warehouses[:]
    target: Any = event
    *parents, last = path.split(".")
    for name in parents:
        target = target[0] if name == "0" else getattr(target, name)
    setattr(target, last, "wq-1")
    return event


@pytest.mark.parametrize(
    ("event_type", "path"),
    [
        ("inventory/corrections", "inventory_corrected.warehouse"),
        ("inventory/mirror", "inventory_levels_changed.levels.0.warehouse"),
        ("replenishments/initiated", "replenishment_initiated.replenishment.warehouse"),
        ("replenishments/received", "replenishment_received.replenishment.warehouse"),
        ("returns/simple_received", "return_received.return_order.warehouse"),
        ("orders/shipped", "order_status_changed.order.shipments.0.warehouse"),
    ],
)
def test_warehouse_of_the_payload_gets_the_event(event_type: str, path: str) -> None:
    """
    A warehouse that only the payload names gets the event, beside those of the envelope.
    """
    event = _named(event_type, path)
    features = frozenset({OWNER_FEATURE_INVENTORY_MIRROR})
    wanting = subscription(owner="warehouses/wq-1", event_type=event_type)
    assert gets(event, wanting, features=features)

    event.warehouses.append("zz")
    other = subscription(owner="warehouses/zz", event_type=event_type)
    assert gets(event, wanting, features=features)
    assert gets(event, other, features=features)
    assert read_facts(event).warehouses == ("zz", "wq-1")


def test_mirror_needs_its_feature() -> None:
    """
    Without the feature nothing of the inventory mirror is sent.
    """
    mirror = subscription(event_type="inventory/mirror")
    event = example_event("inventory/mirror")

    assert gets(event, mirror) == []
    assert gets(event, mirror, features=frozenset({OWNER_FEATURE_INVENTORY_MIRROR}))


def test_inactive_subscriptions_are_returned_as_skipped() -> None:
    """
    An event that an Inactive subscription wants is not sent to it, and is counted as skipped.
    """
    inactive = subscription(active=False)

    routed = match(read_facts(example_event("orders/shipped")), Held([inactive]))

    assert routed.subscriptions == ()
    assert routed.skipped == (inactive,)

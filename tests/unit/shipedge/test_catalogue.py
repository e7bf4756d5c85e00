"""
The catalogue of event types, as the descriptors have it.
"""

from __future__ import annotations

import pytest

from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.events.v1 import catalogue_pb2

REQUIRED = {
    "orders/shipped_with_shipping_method": catalogue_pb2.FILTER_KIND_SHIPPING_METHODS,
    "orders/shipped_by_store": catalogue_pb2.FILTER_KIND_STORES,
    "orders/shipped_by_order_type": catalogue_pb2.FILTER_KIND_ORDER_TYPES,
}
OPTIONAL = {
    "orders/any_status_change": catalogue_pb2.FILTER_KIND_STATUSES,
    "orders/shipped_items": catalogue_pb2.FILTER_KIND_SKUS,
    "orders/pending_items": catalogue_pb2.FILTER_KIND_SKUS,
}
OFFERED = {name: it for name, it in CATALOGUE.event_types.items() if not it.system}


def test_there_are_34_event_types() -> None:
    """
    All event types of the documentation are there, each in three versions.
    """
    assert len(OFFERED) == 34
    assert {it.payload_versions for it in OFFERED.values()} == {("v1", "v2", "v3")}


def test_groups_are_those_of_the_documentation() -> None:
    """
    The groups have as many event types as the documentation lists.
    """
    sizes = [0] * 9
    for it in OFFERED.values():
        sizes[it.group] += 1

    assert sizes == [0, 8, 3, 5, 7, 2, 2, 7, 0]


def test_system_event_types_are_apart() -> None:
    """
    Three event types about the webhooks themselves have version 3 only.
    """
    system = [it for it in CATALOGUE.event_types.values() if it.system]

    assert [it.event_type for it in system] == [
        "webhooks/endpoint_failing",
        "webhooks/endpoint_recovered",
        "webhooks/endpoint_deactivated",
    ]
    assert {it.payload_versions for it in system} == {("v3",)}


def test_filters() -> None:
    """
    Three event types need a filter, three may have one, the others have none.
    """
    for name, it in OFFERED.items():
        assert it.filter_kind == REQUIRED.get(name, OPTIONAL.get(name, 0))
        presence = catalogue_pb2.FILTER_PRESENCE_REQUIRED if name in REQUIRED else None
        if name in OPTIONAL:
            presence = catalogue_pb2.FILTER_PRESENCE_OPTIONAL
        assert it.filter_presence == (presence or 0)


def test_event_types_of_warehouses() -> None:
    """
    Warehouses may subscribe to what happens in a warehouse.
    """
    wanted = {name for name in OFFERED if name.startswith(("inventory/", "replenishments/"))}
    wanted |= {name for name in OFFERED if name.startswith("returns/") and "received" in name[-9:]}
    wanted |= {name for name in OFFERED if name.startswith("orders/shipped")}
    wanted |= {"orders/processing"}

    assert {name for name, it in OFFERED.items() if it.warehouse} == wanted


def test_event_type_of_two_domain_events() -> None:
    """
    An event type that two domain events raise is described once.
    """
    items = CATALOGUE.event_types["orders/shipped_items"]

    assert items.domain_events == ("OrderStatusChanged", "OrderItemsStatusChanged")
    raised = CATALOGUE.raised_by("order_items_status_changed")
    assert [(it.event_type, conditions) for it, conditions in raised] == [
        ("orders/shipped_items", (("item_status", 1),)),
        ("orders/pending_items", (("item_status", 2),)),
    ]


@pytest.mark.parametrize(
    ("event_type", "version", "topic"),
    [
        ("orders/shipped", "v1", "orders/shipped"),
        ("orders/shipped", "v2", "orders/shipped_v2"),
        ("inventory/corrections", "v3", "inventory/corrections_v3"),
    ],
)
def test_topics(event_type: str, version: str, topic: str) -> None:
    """
    Version 1 is bare, the others have a suffix; names are looked up, not split.
    """
    assert CATALOGUE.topic(event_type, version) == topic
    assert CATALOGUE.parse_topic(topic) == (event_type, version)


def test_unknown_topic() -> None:
    """
    What is not in the catalogue is not a wire name, whatever it looks like.
    """
    with pytest.raises(LookupError):
        CATALOGUE.parse_topic("orders/shipped_v9")

"""
Which event types an event raises, and whom it concerns.
"""

from __future__ import annotations

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.routing.facts import read_facts
from shipedge.webhooks.events.v1 import event_pb2, order_events_pb2, states_pb2

Status = states_pb2.OrderStatus
Fulfillment = states_pb2.FulfillmentType

SHIPPED_SET = {
    "orders/any_status_change",
    "orders/shipped",
    "orders/shipped_with_shipping_method",
    "orders/shipped_by_store",
    "orders/shipped_by_order_type",
    "orders/shipped_items",
}


def raised(event: event_pb2.Event) -> set[str]:
    """
    Return the event types that an event raises.
    """
    return {it.event_type for it in read_facts(event).event_types}


def status_change(
    before: str, after: str, fulfillment: str = "SHIPEDGE", **labels: str
) -> event_pb2.Event:
    """
    Make an order change its status.
    """
    event = example_event("orders/shipped")
    change = event.order_status_changed
    change.from_status = Status.Value(f"ORDER_STATUS_{before}")
    change.to_status = Status.Value(f"ORDER_STATUS_{after}")
    change.from_label, change.to_label = labels.get("from_label", ""), labels.get("to_label", "")
    change.order.fulfillment_type = Fulfillment.Value(f"FULFILLMENT_TYPE_{fulfillment}")
    change.order.status = change.to_status
    return event


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (
            status_change("PROCESSING", "SHIPPED", "AMAZON_FBA"),
            SHIPPED_SET | {"orders/shipped_by_amazon_fba"},
        ),
        (
            status_change("PROCESSING", "SHIPPED", "AMAZON_MCF"),
            SHIPPED_SET | {"orders/shipped_by_amazon_mcf"},
        ),
        (
            status_change("PROCESSING", "SHIPPED", "DROPSHIPPER"),
            SHIPPED_SET | {"orders/shipped_by_dropshipper"},
        ),
        (
            status_change("PROCESSING", "SHIPPED", "SHIPEDGE"),
            SHIPPED_SET | {"orders/shipped_by_shipedge"},
        ),
        (status_change("PROCESSING", "SHIPPED", "WFS"), SHIPPED_SET | {"orders/shipped_by_wfs"}),
        (status_change("PROCESSING", "SHIPPED", "OTHER"), SHIPPED_SET),
        (
            status_change("PENDING", "CANCELED", "DROPSHIPPER"),
            {"orders/any_status_change", "orders/canceled", "orders/dropship_cancel"},
        ),
        (
            status_change("PENDING", "CANCELED"),
            {"orders/any_status_change", "orders/canceled"},
        ),
        (
            status_change("UNSPECIFIED", "PENDING"),
            {"orders/any_status_change", "orders/pending", "orders/pending_items"},
        ),
        (
            status_change("PENDING", "PROCESSING"),
            {"orders/any_status_change", "orders/processing"},
        ),
        (
            status_change("PENDING", "BACKORDER"),
            {"orders/any_status_change", "orders/backorder"},
        ),
        (status_change("PENDING", "DIVIDED"), {"orders/any_status_change", "orders/divided"}),
        (status_change("PENDING", "HOLD"), {"orders/any_status_change"}),
        (status_change("HOLD", "STAND_BY"), {"orders/any_status_change"}),
        (status_change("SHIPPED", "SHIPPED"), set()),
        (status_change("OTHER", "OTHER", from_label="a", to_label="a"), set()),
        (
            status_change("OTHER", "OTHER", from_label="a", to_label="b"),
            {"orders/any_status_change"},
        ),
    ],
    ids=lambda it: "" if isinstance(it, set) else _change_name(it),
)
def test_status_changes(event: event_pb2.Event, wanted: set[str]) -> None:
    """
    A status change raises what its status, its fulfilment and its items say.
    """
    assert raised(event) == wanted


def _change_name(event: event_pb2.Event) -> str:
    change = event.order_status_changed
    names = (Status.Name(change.from_status), Status.Name(change.to_status))
    return "-".join(it.removeprefix("ORDER_STATUS_") for it in names)


@pytest.mark.parametrize(
    ("destination", "wanted"),
    [
        ("AMAZON_FBA", {"orders/sent_by_amazon_fba"}),
        ("AMAZON_MCF", {"orders/sent_by_amazon_mcf"}),
        ("SHIPEDGE", {"orders/sent_to_shipedge"}),
        ("DROPSHIPPER", set()),
        ("WFS", set()),
        ("OTHER", set()),
    ],
)
def test_sent_orders(destination: str, wanted: set[str]) -> None:
    """
    An order that is sent raises an event type for three destinations, else nothing.
    """
    event = example_event("orders/sent_to_shipedge")
    sent = event.order_sent_to_fulfillment
    sent.destination = Fulfillment.Value(f"FULFILLMENT_TYPE_{destination}")

    assert raised(event) == wanted


@pytest.mark.parametrize(("status", "wanted"), [("SHIPPED", "shipped"), ("PENDING", "pending")])
def test_partial_changes_of_items(status: str, wanted: str) -> None:
    """
    Items that change by themselves raise the event type of the items alone.
    """
    item = order_events_pb2.ItemChange(sku="A", quantity=1)
    event = event_pb2.Event(account_id=100)
    change = event.order_items_status_changed
    change.order.id = 1
    change.item_status = states_pb2.ItemStatus.Value(f"ITEM_STATUS_{status}")
    change.items.append(item)

    assert raised(event) == {f"orders/{wanted}_items"}


def test_only_the_oms_updates() -> None:
    """
    An update raises its event type only where it was made in the OMS.
    """
    event = example_event("orders/updated_by_oms")
    assert raised(event) == {"orders/updated_by_oms"}

    event.source = states_pb2.EVENT_SOURCE_CHANNEL
    assert raised(event) == set()


@pytest.mark.parametrize(
    "event_type",
    [
        "orders/refund",
        "inventory/corrections",
        "inventory/mirror",
        "replenishments/initiated",
        "replenishments/received",
        "returns/simple_initiated",
        "returns/simple_received",
        "returns/exchange_now_initiated",
        "returns/exchange_now_received",
        "returns/exchange_on_received_initiated",
        "returns/exchange_on_received_received",
        "returns/unexpected_received",
    ],
)
def test_events_that_raise_exactly_one(event_type: str) -> None:
    """
    All other domain events raise one event type each.
    """
    assert raised(example_event(event_type)) == {event_type}


def test_unexpected_return_cannot_be_initiated() -> None:
    """
    A return that nobody announced raises nothing before it is received.
    """
    event = example_event("returns/simple_initiated")
    event.return_initiated.return_order.type = states_pb2.RETURN_TYPE_UNEXPECTED

    assert raised(event) == set()


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("orders/shipped", "orders/12345"),
        ("orders/refund", "orders/12345"),
        ("inventory/corrections", "inventory/wh1/PROD-001"),
        ("inventory/mirror", "inventory/wh1/PROD-001"),
        ("replenishments/received", "replenishments/13224"),
        ("returns/simple_received", "returns/555"),
    ],
)
def test_resource_is_what_the_event_is_about(event_type: str, resource: str) -> None:
    """
    The ordering key is derived from the payload.
    """
    assert read_facts(example_event(event_type)).resource == resource


@pytest.mark.parametrize(
    ("envelope", "order", "channels"),
    [
        ("", "", set()),
        ("Shopify", "", {"shopify"}),
        ("", " Amazon ", {"amazon"}),
        ("shopify", "SHOPIFY", {"shopify"}),
        ("shopify", "amazon", {"shopify", "amazon"}),
    ],
)
def test_channels_of_envelope_and_order(envelope: str, order: str, channels: set[str]) -> None:
    """
    The channels of the envelope and of the order count together.
    """
    event = example_event("orders/shipped")
    event.channel, event.order_status_changed.order.channel = envelope, order

    assert read_facts(event).channels == channels


def test_warehouse_of_each_shipment_gets_the_event() -> None:
    """
    Every warehouse of a shipment is an owner of the event once; labels of other forms are none.
    """
    event = example_event("orders/shipped")
    shipments = event.order_status_changed.order.shipments
    for warehouse in ("wh2", "Main hall, row 7", "", "wh1"):
        shipments.add(warehouse=warehouse)

    facts = read_facts(event)
    assert facts.warehouses == ("wh1", "wh2")
    assert facts.owners == ("accounts/100", "warehouses/wh1", "warehouses/wh2")

"""
Bodies about shipped and pending items, from both domain events that raise them.
"""

from typing import Any

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads import example_event, render
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import ItemChange, OrderItemsStatusChanged
from shipedge.webhooks.events.v1.order_pb2 import Order, OrderItem, Shipment
from shipedge.webhooks.events.v1.states_pb2 import (
    ITEM_STATUS_PENDING,
    ITEM_STATUS_SHIPPED,
    ORDER_STATUS_PROCESSING,
    ItemStatus,
)


def _body(event: Event, event_type: str, payload_version: str) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(render(event, event_type, payload_version))
    return body


def _partial(status: ItemStatus.ValueType, shipment: Shipment | None = None) -> Event:
    """
    Make a status change of two of five pieces of one item.
    """
    item = ItemChange(
        line_id="1", sku="S", quantity=2, quantity_ordered=5, quantity_remaining=3, lot="L"
    )
    change = OrderItemsStatusChanged(
        order=Order(id=9, status=ORDER_STATUS_PROCESSING, shipping_method="Ground"),
        item_status=status,
        items=[item],
        shipment=shipment,
    )
    return Event(account_id=7, occurred_at=Timestamp(seconds=60), order_items_status_changed=change)


@pytest.mark.parametrize(
    ("items", "shown", "complete"),
    [
        ([(2, None), (3, None)], [(2, 2, 0), (3, 3, 0)], True),
        ([(2, 2), (3, None)], [(2, 2, 0), (None, 3, None)], None),
        ([(2, 1), (3, None)], [(1, 2, 1), (None, 3, None)], False),
        ([(2, 0), (3, 0)], [(0, 2, 2), (0, 3, 3)], False),
        ([(2, 2), (3, 3)], [(2, 2, 0), (3, 3, 0)], True),
        ([(2, 2), (3, 0)], [(2, 2, 0), (0, 3, 3)], False),
        ([(5, 2)], [(2, 5, 3)], False),
        ([(2, 3)], [(3, 2, 0)], True),
        ([], [], True),
    ],
)
def test_whole_order_without_quantities_is_shipped_in_full(
    items: list[tuple[int, int | None]],
    shown: list[tuple[int | None, int, int | None]],
    complete: bool | None,
) -> None:
    """
    Shipped quantities are those of the lines, or all if no line states one.
    """
    event = example_event("orders/shipped_items")
    order = event.order_status_changed.order
    order.ClearField("items")
    order.items.extend(
        OrderItem(sku="S", quantity=ordered, quantity_shipped=shipped) for ordered, shipped in items
    )
    contents = _body(event, "orders/shipped_items", "v3")["data"]

    assert contents["complete"] == complete
    assert shown == [
        (item["quantity"], item["quantity_ordered"], item["quantity_remaining"])
        for item in contents["items"]
    ]


def test_partial_shipment_shows_its_own_shipment() -> None:
    """
    A partial shipment shows the order's own status and the shipment of the items.
    """
    shipment = Shipment(id="S1", carrier="UPS", tracking_number="T")
    shipment.shipped_at.seconds = 30
    event = _partial(ITEM_STATUS_SHIPPED, shipment)

    assert _body(event, "orders/shipped_items", "v2") == {
        "event": "orders/shipped_items_v2",
        "account_id": 7,
        "order_id": 9,
        "order_number": None,
        "order_reference": None,
        "status": "processing",
        "shipped_date": "1970-01-01 00:00:30",
        "tracking_number": "T",
        "carrier": "UPS",
        "shipping_method": "Ground",
        "items": [
            {
                "sku": "S",
                "quantity": 2,
                "description": None,
                "quantity_ordered": 5,
                "quantity_remaining": 3,
                "lot": "L",
                "expiration_date": None,
                "serial_numbers": [],
                "shipments": [
                    {
                        "id": "S1",
                        "tracking_number": "T",
                        "carrier": "UPS",
                        "shipping_method": None,
                        "shipped_date": "1970-01-01 00:00:30",
                        "quantity": 2,
                    }
                ],
            }
        ],
    }


def test_missing_shipment_takes_the_time_of_the_event() -> None:
    """
    Without a shipment the time of the event is the time of shipment.
    """
    event = _partial(ITEM_STATUS_SHIPPED)
    body = _body(event, "orders/shipped_items", "v2")

    assert body["shipped_date"] == "1970-01-01 00:01:00"
    assert (body["tracking_number"], body["carrier"]) == (None, None)
    contents = _body(event, "orders/shipped_items", "v3")["data"]
    assert (contents["shipments"], contents["complete"]) == ([], None)


def test_pending_items_show_no_shipment() -> None:
    """
    Pending items show no shipment, even if the event has one.
    """
    event = _partial(ITEM_STATUS_PENDING, Shipment(tracking_number="T", shipping_method="Air"))
    body = _body(event, "orders/pending_items", "v2")

    assert body["pending_date"] == "1970-01-01 00:01:00"
    assert (body["tracking_number"], body["carrier"], body["shipping_method"]) == (
        None,
        None,
        "Ground",
    )
    contents = _body(event, "orders/pending_items", "v3")["data"]
    assert (contents["item_status"], contents["shipments"]) == ("pending", [])
    assert [item["shipments"] for item in (*body["items"], *contents["items"])] == [[], []]
    assert contents["order"]["shipping_method"] == "Ground"


def test_pending_order_shows_all_pieces() -> None:
    """
    All pieces of an order that becomes pending are pending.
    """
    event = example_event("orders/pending_items")
    event.order_status_changed.order.items[0].quantity_shipped = 1

    assert _body(event, "orders/pending_items", "v1")["items"] == [
        {"sku": "PROD-001", "quantity": 2}
    ]

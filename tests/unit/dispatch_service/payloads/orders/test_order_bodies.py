"""
What the bodies of the order family show in the cases that no example has.
"""

from typing import Any

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads import example_event, render
from dispatch_service.payloads.orders.values import first_shipment, shown_shipping_method
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    OrderSentToFulfillment,
    OrderStatusChanged,
    OrderUpdated,
)
from shipedge.webhooks.events.v1.order_pb2 import Order, Shipment
from shipedge.webhooks.events.v1.states_pb2 import (
    EVENT_SOURCE_OMS,
    FULFILLMENT_TYPE_OTHER,
    ORDER_STATUS_OTHER,
    ORDER_STATUS_PROCESSING,
    ORDER_STATUS_SHIPPED,
)

_NOON = Timestamp(seconds=1_705_320_000)


def _body(event: Event, event_type: str, payload_version: str) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(render(event, event_type, payload_version))
    return body


def _bare(**change: Any) -> Event:
    """
    Make a status change of an order of which only the id is known.
    """
    return Event(
        event_id="e1",
        account_id=7,
        occurred_at=_NOON,
        order_status_changed=OrderStatusChanged(order=Order(id=9), **change),
    )


def test_unknown_is_null_in_version_1() -> None:
    """
    A value that is not known is null; its key stays.
    """
    event = _bare(to_status=ORDER_STATUS_SHIPPED)

    assert _body(event, "orders/shipped", "v1") == {
        "event": "orders/shipped",
        "account_id": 7,
        "order_id": 9,
        "order_number": None,
        "status": "shipped",
        "date": "2024-01-15 12:00:00",
        "tracking_number": None,
        "carrier": None,
        "shipping_method": None,
    }


def test_unknown_is_null_in_version_2() -> None:
    """
    Customer and address are always objects, items always a list.
    """
    body = _body(_bare(to_status=ORDER_STATUS_PROCESSING), "orders/processing", "v2")

    assert body["customer"] == {
        "email": None,
        "name": None,
        "address": dict.fromkeys(["address1", "city", "state", "zip", "country"]),
    }
    assert body["items"] == []
    assert (body["total"], body["shipping_cost"], body["shipped_date"]) == (None, None, None)


def test_unknown_is_null_in_version_3() -> None:
    """
    Objects that may be unknown as a whole are null; the others have nulls.
    """
    body = _body(_bare(to_status=ORDER_STATUS_SHIPPED), "orders/shipped", "v3")
    order = body["data"]["order"]

    assert body["sequence"] is None
    assert order["store"] is None
    assert order["customer"] == {"name": None, "email": None, "phone": None}
    assert set(order["shipping_address"].values()) == {None}
    assert order["items"] == order["shipments"] == []
    assert order["totals"] == dict.fromkeys(["subtotal", "shipping", "tax", "discount", "total"])


def test_package_without_measures() -> None:
    """
    A package of which nothing is known has no weight and no dimensions.
    """
    event = _bare(to_status=ORDER_STATUS_SHIPPED)
    event.order_status_changed.order.shipments.add().packages.add()
    (shipment,) = _body(event, "orders/shipped", "v3")["data"]["order"]["shipments"]

    assert shipment["cost"] is None
    assert shipment["packages"] == [
        {
            "number": None,
            "tracking_number": None,
            "weight": None,
            "dimensions": None,
            "items": [],
        }
    ]


def test_several_shipments() -> None:
    """
    Versions 1 and 2 show the first shipment, version 3 all of them.
    """
    event = example_event("orders/shipped")
    event.order_status_changed.order.shipments.add(id="12345-2", tracking_number="SECOND")
    bodies = [_body(event, "orders/shipped", version) for version in ("v1", "v2", "v3")]

    assert [body["tracking_number"] for body in bodies[:2]] == ["1Z999AA10123456784"] * 2
    assert [shipment["id"] for shipment in bodies[2]["data"]["order"]["shipments"]] == [
        "12345-1",
        "12345-2",
    ]


@pytest.mark.parametrize(
    ("asked_for", "shipments", "shown"),
    [
        ("Ground", [], "Ground"),
        ("Ground", [Shipment()], "Ground"),
        ("Ground", [Shipment(shipping_method="Air")], "Air"),
        ("", [Shipment(shipping_method="Air"), Shipment(shipping_method="Sea")], "Air"),
        ("", [Shipment(), Shipment(shipping_method="Sea")], None),
        ("", [], None),
    ],
)
def test_shipping_method(asked_for: str, shipments: list[Shipment], shown: str | None) -> None:
    """
    The method of the first shipment is shown, else the one asked for.
    """
    order = Order(shipping_method=asked_for, shipments=shipments)

    assert shown_shipping_method(order, first_shipment(order)) == shown


@pytest.mark.parametrize("shipments", [[], [Shipment(id="S1")]])
def test_shipped_without_a_date(shipments: list[Shipment]) -> None:
    """
    An order that becomes shipped was shipped when that happened, at the latest.
    """
    event = _bare(to_status=ORDER_STATUS_SHIPPED)
    event.order_status_changed.order.shipments.extend(shipments)

    assert _body(event, "orders/shipped", "v2")["shipped_date"] == "2024-01-15 12:00:00"


def test_edited_after_shipping() -> None:
    """
    An edit of an order that has left shows when it left; it is no shipping.
    """
    order = Order(id=9, status=ORDER_STATUS_SHIPPED, shipments=[Shipment(id="S1")])
    event = Event(
        account_id=7,
        occurred_at=_NOON,
        source=EVENT_SOURCE_OMS,
        order_updated=OrderUpdated(order=order),
    )
    assert _body(event, "orders/updated_by_oms", "v2")["shipped_date"] is None

    event.order_updated.order.shipments[0].shipped_at.seconds = 0
    body = _body(event, "orders/updated_by_oms", "v2")
    assert body["shipped_date"] == "1970-01-01 00:00:00"
    assert (body["status"], body["updated_fields"], body["user"]) == ("shipped", [], None)


def test_status_comes_from_the_change() -> None:
    """
    The status that the order changed to is shown, be its name listed or not.
    """
    event = _bare(
        from_status=ORDER_STATUS_OTHER,
        from_label="Being Gift-wrapped",
        to_status=ORDER_STATUS_OTHER,
        to_label="On the Moon",
    )
    body = _body(event, "orders/any_status_change", "v2")

    assert (body["status"], body["previous_status"]) == ("On the Moon", "Being Gift-wrapped")
    change = _body(event, "orders/any_status_change", "v3")["data"]["change"]
    assert change["previous_status"] == "Being Gift-wrapped"


def test_change_of_a_division() -> None:
    """
    A divided order names its parts, even where there is none yet.
    """
    event = example_event("orders/divided")
    change = _body(event, "orders/divided", "v3")["data"]["change"]
    assert change["divided_orders"] == [
        {"id": 12346, "number": "ORD-001-1", "reference": "REF-123"},
        {"id": 12347, "number": "ORD-001-2", "reference": "REF-123"},
    ]

    event.order_status_changed.ClearField("child_orders")
    assert _body(event, "orders/divided", "v3")["data"]["change"]["divided_orders"] == []
    assert _body(event, "orders/divided", "v2")["divided_orders"] == []


def test_sent_to_somebody_else() -> None:
    """
    A destination that is not listed is shown by its label.
    """
    sending = OrderSentToFulfillment(
        order=Order(id=9), destination=FULFILLMENT_TYPE_OTHER, destination_label="Third Party"
    )
    event = Event(account_id=7, occurred_at=_NOON, order_sent_to_fulfillment=sending)

    assert _body(event, "orders/sent_to_shipedge", "v2")["sent_to"] == "Third Party"
    change = _body(event, "orders/sent_to_shipedge", "v3")["data"]["change"]
    assert (change["sent_to"], change["external_reference"]) == ("Third Party", None)

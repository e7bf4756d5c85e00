"""
Bodies about a whole order in cases that no example covers.
"""

from typing import Any

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads import example_event, render
from dispatch_service.payloads.orders.values import shipping_methods, tracking
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    OrderSentToFulfillment,
    OrderStatusChanged,
    OrderUpdated,
)
from shipedge.webhooks.events.v1.order_pb2 import Order, Package, Shipment
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
    An unknown value is null; its key stays.
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
    Customer and address are always objects, and items always a list.
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
    An optional object that is unknown is null; other objects have null values.
    """
    body = _body(_bare(to_status=ORDER_STATUS_SHIPPED), "orders/shipped", "v3")
    order = body["data"]["order"]

    assert body["sequence"] is None
    assert order["store"] is None
    assert order["customer"] == {"name": None, "email": None, "phone": None}
    assert set(order["shipping_address"].values()) == {None}
    assert order["items"] == order["shipments"] == []
    assert order["totals"] == dict.fromkeys(["subtotal", "shipping", "tax", "discount", "total"])


@pytest.mark.parametrize(
    ("envelope", "order", "top"), [("", "", None), ("", "ebay", "ebay"), ("pos", "ebay", "pos")]
)
def test_channel_is_shown(envelope: str, order: str, top: str | None) -> None:
    """
    Version 3 shows the channel of the event, otherwise that of its order, and the order's own.
    """
    event = example_event("orders/shipped")
    event.channel, event.order_status_changed.order.channel = envelope, order
    body = _body(event, "orders/shipped", "v3")
    shown = body["data"]["order"]

    assert (body["channel"], shown["channel"], shown["store"]["channel"]) == (
        top,
        order or None,
        order or None,
    )
    assert shown["channel_order_id"] == "450789469"
    assert shown["items"][0]["channel_line_id"] == "466157049"


def test_package_without_measures_has_nulls() -> None:
    """
    A package without measures has null for weight and dimensions.
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


def test_only_version_3_shows_all_shipments() -> None:
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
    ("requested", "shipments", "shown", "compared"),
    [
        ("Ground", [], "Ground", {"Ground"}),
        ("Ground", [Shipment()], "Ground", {"Ground"}),
        ("Ground", [Shipment(shipping_method="Air")], "Air", {"Air"}),
        (
            "",
            [Shipment(shipping_method="Air"), Shipment(shipping_method="Sea")],
            "Air",
            {"Air", "Sea"},
        ),
        ("", [Shipment(), Shipment(shipping_method="Sea")], "Sea", {"Sea"}),
        ("Ground", [Shipment(), Shipment(shipping_method="Sea")], "Sea", {"Sea"}),
        ("", [], None, set()),
    ],
)
def test_first_method_is_shown_and_all_are_compared(
    requested: str, shipments: list[Shipment], shown: str | None, compared: set[str]
) -> None:
    """
    The first method of a shipment is shown, otherwise the requested one; filters compare with all.
    """
    order = Order(shipping_method=requested, shipments=shipments)

    assert tracking(order, shipments).method == shown
    assert shipping_methods(order) == compared


@pytest.mark.parametrize(
    ("shipments", "number", "carrier"),
    [
        ([Shipment(), Shipment(tracking_number="T2", carrier="UPS")], "T2", "UPS"),
        ([Shipment(carrier="UPS"), Shipment(tracking_number="T2", carrier="DHL")], "T2", "UPS"),
        (
            [
                Shipment(packages=[Package(), Package(tracking_number="P1")]),
                Shipment(tracking_number="T2"),
            ],
            "P1",
            None,
        ),
        (
            [Shipment(tracking_number="T1", packages=[Package(tracking_number="P1")])],
            "T1",
            None,
        ),
        ([Shipment(packages=[Package()])], None, None),
    ],
)
def test_first_value_that_there_is_is_shown(
    shipments: list[Shipment], number: str | None, carrier: str | None
) -> None:
    """
    Versions 1 and 2 show the number and the carrier of the first shipment or package with one.
    """
    event = example_event("orders/shipped")
    order = event.order_status_changed.order
    order.ClearField("shipments")
    order.shipments.extend(shipments)

    for version in ("v1", "v2"):
        body = _body(event, "orders/shipped", version)
        assert (body["tracking_number"], body["carrier"]) == (number, carrier)


def test_first_time_of_shipment_is_shown() -> None:
    """
    The time of the first shipment that has one is shown; one that was never set is none.
    """
    event = _bare(to_status=ORDER_STATUS_SHIPPED)
    shipments = event.order_status_changed.order.shipments
    shipments.add().shipped_at.seconds = -62_135_596_800
    shipments.add().shipped_at.seconds = 1_705_316_400

    assert _body(event, "orders/shipped", "v2")["shipped_date"] == "2024-01-15 11:00:00"


@pytest.mark.parametrize("shipments", [[], [Shipment(id="S1")]])
def test_missing_time_of_shipment_is_that_of_the_event(shipments: list[Shipment]) -> None:
    """
    Without a time of shipment the time of the event is shown.
    """
    event = _bare(to_status=ORDER_STATUS_SHIPPED)
    event.order_status_changed.order.shipments.extend(shipments)

    assert _body(event, "orders/shipped", "v2")["shipped_date"] == "2024-01-15 12:00:00"


def test_edit_does_not_change_the_time_of_shipment() -> None:
    """
    An edit of a shipped order shows the time of its shipment, never that of the edit.
    """
    order = Order(id=9, status=ORDER_STATUS_SHIPPED, shipments=[Shipment(id="S1")])
    event = Event(
        account_id=7,
        occurred_at=_NOON,
        source=EVENT_SOURCE_OMS,
        order_updated=OrderUpdated(order=order),
    )
    assert _body(event, "orders/updated_by_oms", "v2")["shipped_date"] is None

    event.order_updated.order.shipments[0].shipped_at.seconds = 1
    body = _body(event, "orders/updated_by_oms", "v2")
    assert body["shipped_date"] == "1970-01-01 00:00:01"
    assert (body["status"], body["updated_fields"], body["user"]) == ("shipped", [], None)


def test_status_comes_from_the_change() -> None:
    """
    The new status of the change is shown, listed or not.
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


def test_divided_order_lists_its_parts() -> None:
    """
    A divided order lists its parts; without parts the list is empty.
    """
    event = example_event("orders/divided")
    change = _body(event, "orders/divided", "v3")["data"]["change"]
    assert change["divided_orders"] == [
        {"id": 12346, "number": "ORD-001-1", "reference": "REF-123", "fulfillment_type": None},
        {"id": 12347, "number": "ORD-001-2", "reference": "REF-123", "fulfillment_type": None},
    ]

    event.order_status_changed.ClearField("child_orders")
    assert _body(event, "orders/divided", "v3")["data"]["change"]["divided_orders"] == []
    assert _body(event, "orders/divided", "v2")["divided_orders"] == []


def test_unlisted_destination_shows_its_label() -> None:
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

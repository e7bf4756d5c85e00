"""
Bodies about inventory, replenishments, returns, refunds and endpoints in cases that no example
covers.
"""

from typing import Any

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from dispatch_service.payloads import example_event, render
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.inventory_pb2 import (
    LEVEL_CAUSE_OTHER,
    InventoryCorrected,
    InventoryLevel,
    InventoryLevelsChanged,
)
from shipedge.webhooks.events.v1.order_events_pb2 import OrderRefunded
from shipedge.webhooks.events.v1.order_pb2 import Order
from shipedge.webhooks.events.v1.return_order_pb2 import ReturnItem, ReturnOrder, ReturnReceived


def _body(event: Event, event_type: str, payload_version: str) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(render(event, event_type, payload_version))
    return body


def _event(**payload: Any) -> Event:
    return Event(event_id="e1", account_id=7, occurred_at=Timestamp(seconds=60), **payload)


def test_correction_always_has_quantities() -> None:
    """
    Of a correction only the quantities are always known.
    """
    event = _event(inventory_corrected=InventoryCorrected(correction_id=1, sku="S"))

    assert _body(event, "inventory/corrections", "v3")["data"]["correction"] == {
        "id": 1,
        "line": None,
        "type": None,
        "sku": "S",
        "warehouse": None,
        "location": None,
        "bin": None,
        "previous_quantity": 0,
        "new_quantity": 0,
        "adjustment": 0,
        "condition": None,
        "lot": None,
        "expiration_date": None,
        "reason": None,
        "user": None,
        "source": None,
    }


def test_level_without_a_time_has_that_of_its_event() -> None:
    """
    A level without a time has the time of its event.
    """
    change = InventoryLevelsChanged(
        levels=[InventoryLevel(sku="S", available=-2)],
        cause=LEVEL_CAUSE_OTHER,
        cause_label="Stock-taking",
    )
    event = _event(inventory_levels_changed=change)

    assert _body(event, "inventory/mirror", "v1") == {
        "event": "inventory/mirror",
        "account_id": 7,
        "sku": "S",
        "quantity": -2,
        "timestamp": "1970-01-01 00:01:00",
    }
    contents = _body(event, "inventory/mirror", "v3")["data"]
    assert contents["cause"] == "Stock-taking"
    assert contents["levels"][0]["updated_at"] == "1970-01-01T00:01:00Z"


def test_version_2_shows_the_latest_receipt_line() -> None:
    """
    Version 2 shows the bin of the latest line of a SKU, and totals.
    """
    event = example_event("replenishments/received")
    change = event.replenishment_received
    change.receipt.items.add(sku="PROD-001", quantity_good=1, bin="BIN-002")
    change.receipt.items.add(sku="PROD-009", bin="BIN-009")
    (item,) = _body(event, "replenishments/received", "v2")["items"]

    assert (item["bin"], item["lpn"], item["uom"]) == ("BIN-002", None, "each")
    assert item["quantity_received"] == 98
    receipt = _body(event, "replenishments/received", "v3")["data"]["receipt"]
    assert [line["bin"] for line in receipt["items"]] == ["BIN-001", "BIN-002", "BIN-009"]


def test_receipt_without_a_time_has_that_of_its_event() -> None:
    """
    A receipt without a time has the time of its event.
    """
    event = example_event("replenishments/received")
    event.replenishment_received.receipt.ClearField("received_at")
    event.occurred_at.seconds = 60

    assert _body(event, "replenishments/received", "v2")["received_date"] == "1970-01-01 00:01:00"
    receipt = _body(event, "replenishments/received", "v3")["data"]["receipt"]
    assert receipt["received_at"] == "1970-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("expected", "received", "shown"),
    [((2, 0), (0, 0), 2), ((2, 1), (1, 1), 3), ((0, 0), (1, 2), 3), ((0, 0), (0, 0), 0)],
)
def test_quantity_is_announced_or_received(
    expected: tuple[int, int], received: tuple[int, int], shown: int
) -> None:
    """
    The quantity of a line is the announced one, otherwise the received one.
    """
    item = ReturnItem(
        sku="S",
        expected_good=expected[0],
        expected_hurt=expected[1],
        received_good=received[0],
        received_hurt=received[1],
    )
    event = _event(return_received=ReturnReceived(return_order=ReturnOrder(id=5, items=[item])))

    assert _body(event, "returns/simple_received", "v2")["items"][0]["quantity"] == shown


def test_return_without_a_time_has_that_of_its_event() -> None:
    """
    A received return without a time has the time of its event.
    """
    event = _event(return_received=ReturnReceived(return_order=ReturnOrder(id=5)))

    assert _body(event, "returns/simple_received", "v2")["received_date"] == "1970-01-01 00:01:00"
    part = _body(event, "returns/simple_received", "v3")["data"]["return"]
    assert (part["received_at"], part["label"], part["created_at"]) == (
        "1970-01-01T00:01:00Z",
        None,
        None,
    )


def test_announced_return_has_no_time_of_receipt() -> None:
    """
    An announced return has no time of receipt.
    """
    event = example_event("returns/simple_initiated")

    assert _body(event, "returns/simple_initiated", "v2")["received_date"] is None
    part = _body(event, "returns/simple_initiated", "v3")["data"]["return"]
    assert part["received_at"] is None


def test_unknown_exchange_order_is_null() -> None:
    """
    An unknown exchange order is null.
    """
    event = example_event("returns/exchange_now_initiated")
    event.return_initiated.return_order.ClearField("exchange_order")
    bodies = [_body(event, "returns/exchange_now_initiated", v) for v in ("v1", "v2", "v3")]

    assert bodies[0]["exchange_order_id"] is None
    assert bodies[1]["exchange_order"] is None
    assert bodies[2]["data"]["exchange_order"] is None


def test_refund_always_has_a_total() -> None:
    """
    Of a refund the total is always known.
    """
    refund = OrderRefunded(
        order=Order(id=9), refund_id=3, total=Money(units=1500, currency_code="JPY")
    )
    event = _event(order_refunded=refund)

    assert b'"amount":1500.00' in render(event, "orders/refund", "v1")
    assert b'"refund_total":1500.00' in render(event, "orders/refund", "v2")
    part = _body(event, "orders/refund", "v3")["data"]["refund"]
    assert part["total"] == {"amount": "1500", "currency": "JPY"}
    assert (part["type"], part["tax"], part["return_id"], part["items"]) == (None, None, None, [])


def test_event_of_a_warehouse_has_no_account() -> None:
    """
    An event about the webhooks of a warehouse has no account.
    """
    event = example_event("webhooks/endpoint_recovered")
    event.ClearField("account_id")
    event.endpoint_state_changed.ClearField("failing_for")
    body = _body(event, "webhooks/endpoint_recovered", "v3")

    assert body["account_id"] is None
    assert body["data"]["endpoint"]["failing_for_seconds"] is None
    assert body["data"]["endpoint"]["response_code"] is None

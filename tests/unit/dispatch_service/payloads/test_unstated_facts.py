"""
Facts that nobody stated are null in every payload version, and negative stock is shown as it is.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from dispatch_service.payloads import CONTRACTS, check, example_event, render
from dispatch_service.payloads.checks.messages import required_fields
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryLevel, InventoryLevelsChanged
from shipedge.webhooks.events.v1.return_order_pb2 import ReturnItem

# Their quantities are derived from those that are required.
_DERIVED = {"orders/shipped_items", "orders/pending_items"}
_OWN = sorted({name for name, version in CONTRACTS if version == "v1"} - _DERIVED)


def _unstate(message: Message) -> None:
    """
    Clear all optional numbers and flags of *message* and within it.
    """
    required = required_fields(message.DESCRIPTOR)
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            if field.has_presence and field.name not in required:
                message.ClearField(field.name)
        elif field.is_repeated:
            for part in getattr(message, field.name):
                _unstate(part)
        elif message.HasField(field.name):
            _unstate(getattr(message, field.name))


def _numbers(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """
    Yield the path and the value of every number and flag of a body.
    """
    if isinstance(part, dict):
        for name, value in part.items():
            yield from _numbers(value, f"{path}.{name}" if path else name)
    elif isinstance(part, list):
        for value in part:
            yield from _numbers(value, f"{path}[]")
    elif isinstance(part, int):
        yield path, part


@pytest.mark.parametrize("event_type", _OWN)
def test_nothing_unstated_is_shown_as_a_number(event_type: str) -> None:
    """
    An event that states only what is required is valid; its bodies show no 0 and no flag.
    """
    event = example_event(event_type)
    _unstate(event)
    assert check(event) == []

    for version in ("v1", "v2", "v3"):
        body = msgspec.json.decode(render(event, event_type, version))
        assert [path for path, value in _numbers(body) if not value] == []


def test_level_that_states_only_what_is_available() -> None:
    """
    The other levels of such a level are null; the keys are there.
    """
    level = InventoryLevel(sku="S", available=5)
    event = Event(
        event_id="e1",
        account_id=7,
        occurred_at=Timestamp(seconds=60),
        inventory_levels_changed=InventoryLevelsChanged(levels=[level]),
    )
    (latest,) = msgspec.json.decode(render(event, "inventory/mirror", "v3"))["data"]["levels"]
    (shown,) = msgspec.json.decode(render(event, "inventory/mirror", "v2"))["items"]

    names = ("in_warehouse", "reserved", "backorder", "hurt", "in_transit")
    assert (latest["available"], shown["quantity_available"]) == (5, 5)
    assert [latest[name] for name in names] == [None] * 5
    assert [shown[f"quantity_{name}"] for name in names] == [None] * 5


def _return_item(item: ReturnItem) -> Any:
    event = example_event("returns/unexpected_received")
    event.return_received.return_order.items[0].CopyFrom(item)
    assert check(event) == []
    return msgspec.json.decode(render(event, "returns/unexpected_received", "v2"))["items"][0]


@pytest.mark.parametrize(
    ("item", "quantity"),
    [
        (ReturnItem(sku="S"), None),
        (ReturnItem(sku="S", received_good=1), 1),
        (ReturnItem(sku="S", expected_good=0), 0),
        (ReturnItem(sku="S", expected_good=0, received_hurt=2), 2),
        (ReturnItem(sku="S", expected_hurt=3), 3),
        (ReturnItem(sku="S", received_good=-1), -1),
    ],
)
def test_quantity_of_a_return_is_what_is_known(item: ReturnItem, quantity: int | None) -> None:
    """
    The quantity is the sum of what is known, announced before received; null if nothing is.
    """
    assert _return_item(item)["quantity"] == quantity


def test_stock_may_be_negative() -> None:
    """
    A correction from and to a negative quantity, and negative levels, are valid and shown.
    """
    event = example_event("inventory/corrections")
    correction = event.inventory_corrected
    correction.previous_quantity, correction.new_quantity, correction.adjustment = -3, -1, 2
    assert check(event) == []
    body = msgspec.json.decode(render(event, "inventory/corrections", "v2"))
    assert (body["previous_quantity"], body["new_quantity"], body["adjustment"]) == (-3, -1, 2)

    mirrored = example_event("inventory/mirror")
    mirrored.inventory_levels_changed.levels[0].in_warehouse = -4
    assert check(mirrored) == []
    latest = msgspec.json.decode(render(mirrored, "inventory/mirror", "v3"))
    assert latest["data"]["levels"][0]["in_warehouse"] == -4


def test_receipt_may_be_taken_back() -> None:
    """
    Receipts and their running totals may be negative.
    """
    event = example_event("replenishments/received")
    event.replenishment_received.replenishment.items[0].quantity_received = -2
    event.replenishment_received.receipt.items[0].quantity_good = -5
    assert check(event) == []
    latest = msgspec.json.decode(render(event, "replenishments/received", "v3"))["data"]

    assert latest["replenishment"]["items"][0]["quantity_received_total"] == -2
    assert latest["receipt"]["items"][0]["quantity_good"] == -5


@pytest.mark.parametrize(
    ("units", "nanos", "currency", "shown"),
    [
        (0, 12_500_000, "USD", "0.0125"),
        (0, 1_000, "USD", "0.000001"),
        (29, 990_000_000, "USD", "29.99"),
        (29, 900_000_000, "USD", "29.90"),
        (30, 0, "USD", "30.00"),
        (7, 500_000_000, "JPY", "7.5"),
        (7, 0, "JPY", "7"),
        (1, 234_567_000, "KWD", "1.234567"),
        (1, 200_000_000, "KWD", "1.200"),
    ],
)
def test_unit_price_has_up_to_six_digits(units: int, nanos: int, currency: str, shown: str) -> None:
    """
    A unit price has the digits of the currency at least, up to 6, and no zeros beyond.
    """
    event = example_event("orders/shipped")
    order = event.order_status_changed.order
    order.ClearField("totals")
    order.shipments[0].ClearField("cost")
    order.items[0].unit_price.CopyFrom(Money(units=units, nanos=nanos, currency_code=currency))
    assert check(event) == []
    (item,) = msgspec.json.decode(render(event, "orders/shipped", "v3"))["data"]["order"]["items"]

    assert item["unit_price"] == {"amount": shown, "currency": currency}

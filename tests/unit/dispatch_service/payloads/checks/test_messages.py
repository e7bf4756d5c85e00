"""
Validation of single fields: the path of the field that breaks a rule.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money

from dispatch_service.payloads import check, example_event
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.states_pb2 import ORDER_STATUS_OTHER

Change: TypeAlias = Callable[[Event], object]

_TOO_LARGE = 2**53


def _money(units: int = 0, nanos: int = 0, currency: str = "USD") -> Money:
    return Money(units=units, nanos=nanos, currency_code=currency)


def _parent(event: Event, path: str) -> tuple[Any, str]:
    """
    Return the message that holds the field at *path*, and the name of the field.
    """
    target: Any = event
    *parents, last = path.split(".")
    for parent in parents:
        name, _, index = parent.partition("[")
        target = getattr(target, name)
        target = target[int(index[:-1])] if index else target
    return target, last


def _set(path: str, value: Any) -> Change:
    """
    Make a change that sets the field at *path* to *value*.
    """

    def change(event: Event) -> None:
        target, last = _parent(event, path)
        if hasattr(value, "DESCRIPTOR"):
            getattr(target, last).CopyFrom(value)
        else:
            setattr(target, last, value)

    return change


def _clear(path: str) -> Change:
    """
    Make a change that clears the field at *path*.
    """

    def change(event: Event) -> None:
        target, last = _parent(event, path)
        target.ClearField(last)

    return change


_CHANGED = "order_status_changed"
_ITEM = f"{_CHANGED}.order.items[0]"
_TOTALS = f"{_CHANGED}.order.totals"
_PACKAGE = f"{_CHANGED}.order.shipments[0].packages[0]"

_SETTINGS: list[tuple[str, str, Any, str]] = [
    # the envelope
    ("orders/shipped", "event_id", "", "1 to 64"),
    ("orders/shipped", "event_id", "x" * 65, "1 to 64"),
    ("orders/shipped", "event_id", "a b", "1 to 64"),
    ("orders/shipped", "event_id", "abc\n", "1 to 64"),
    ("orders/shipped", "event_id", "é", "1 to 64"),
    ("orders/shipped", "account_id", 0, "must be 1 to"),
    ("orders/shipped", "account_id", -1, "must be 1 to"),
    ("orders/shipped", "account_id", _TOO_LARGE, "must be 1 to"),
    ("orders/shipped", "sequence", -1, "must be 0 to"),
    ("orders/shipped", "occurred_at", Timestamp(), "is required"),
    ("orders/shipped", "occurred_at", Timestamp(seconds=-62_135_596_800), "is required"),
    ("orders/shipped", "occurred_at", Timestamp(seconds=-1), "1970 to 9999"),
    ("orders/shipped", "occurred_at", Timestamp(seconds=253_402_300_800), "1 to 9999"),
    ("orders/shipped", "occurred_at", Timestamp(seconds=1, nanos=10**9), "nanos"),
    ("orders/shipped", "occurred_at", Timestamp(seconds=1, nanos=-1), "nanos"),
    ("orders/shipped", "source", 77, "77 is no value of EventSource"),
    # ids and quantities
    ("orders/shipped", f"{_CHANGED}.order.id", 0, "must be 1 to"),
    ("orders/shipped", f"{_CHANGED}.order.id", -5, "must be 1 to"),
    ("orders/shipped", f"{_CHANGED}.order.id", _TOO_LARGE, "must be 1 to"),
    ("orders/shipped", f"{_CHANGED}.order.store.id", -1, "must be 0 to"),
    ("orders/shipped", f"{_ITEM}.quantity", -1, "must be 0 to"),
    ("orders/shipped", f"{_ITEM}.quantity", _TOO_LARGE, "must be 0 to"),
    ("orders/shipped", f"{_ITEM}.quantity_shipped", -1, "must be 0 to"),
    ("orders/shipped", f"{_ITEM}.sku", "", "is required"),
    ("orders/shipped", f"{_PACKAGE}.number", -1, "must be 0 to"),
    ("orders/shipped", f"{_PACKAGE}.items[0].quantity", -1, "must be 0 to"),
    ("orders/refund", "order_refunded.refund_id", 0, "must be 1 to"),
    ("orders/refund", "order_refunded.return_id", -1, "must be 0 to"),
    ("orders/refund", "order_refunded.items[0].quantity", -1, "must be 0 to"),
    ("orders/divided", f"{_CHANGED}.child_orders[1].id", -1, "must be 0 to"),
    ("inventory/corrections", "inventory_corrected.correction_id", 0, "must be 1 to"),
    ("inventory/corrections", "inventory_corrected.line", -1, "must be 0 to"),
    ("inventory/corrections", "inventory_corrected.sku", "", "is required"),
    ("inventory/mirror", "inventory_levels_changed.levels[0].reserved", _TOO_LARGE, "within"),
    ("inventory/mirror", "inventory_levels_changed.levels[0].available", -_TOO_LARGE, "within"),
    (
        "replenishments/received",
        "replenishment_received.receipt.items[0].quantity_hurt",
        -_TOO_LARGE,
        "within",
    ),
    (
        "replenishments/received",
        "replenishment_received.replenishment.items[0].quantity_requested",
        -1,
        "must be 0 to",
    ),
    ("replenishments/initiated", "replenishment_initiated.replenishment.id", 0, "must be 1 to"),
    ("returns/simple_received", "return_received.return_order.id", 0, "must be 1 to"),
    (
        "returns/simple_received",
        "return_received.return_order.items[0].expected_hurt",
        -1,
        "must be 0 to",
    ),
    (
        "returns/exchange_now_initiated",
        "return_initiated.return_order.exchange_order.items[0].quantity",
        -1,
        "must be 0 to",
    ),
    # states
    ("orders/shipped", f"{_CHANGED}.from_status", 55, "55 is no value of OrderStatus"),
    ("orders/sent_to_shipedge", "order_sent_to_fulfillment.destination", 0, "is required"),
    ("returns/simple_received", "return_received.return_order.type", 0, "is required"),
    # money
    ("orders/shipped", f"{_ITEM}.unit_price", _money(-1), "must not be negative"),
    ("orders/shipped", f"{_ITEM}.unit_price", _money(0, -10_000_000), "must not be negative"),
    ("orders/shipped", f"{_ITEM}.unit_price", _money(0, 12_500_100), "more than 6 digits"),
    ("orders/shipped", f"{_ITEM}.unit_price", _money(0, 1_000, "usd"), "currency_code"),
    ("orders/shipped", f"{_ITEM}.unit_price", _money(0, 10**9), "nanos must be within"),
    ("orders/shipped", f"{_TOTALS}.tax", _money(1, 0, ""), "currency_code"),
    ("orders/shipped", f"{_TOTALS}.tax", _money(1, 0, "usd"), "currency_code"),
    ("orders/shipped", f"{_TOTALS}.tax", _money(1, 0, "US"), "currency_code"),
    ("orders/shipped", f"{_TOTALS}.tax", _money(1, 5_000_000), "more digits than USD has: 2"),
    ("orders/shipped", f"{_TOTALS}.tax", _money(1, 10**9), "nanos must be within"),
    ("orders/shipped", f"{_TOTALS}.discount", _money(-1, 10_000_000), "the same sign"),
    ("orders/shipped", f"{_TOTALS}.discount", _money(1, -10_000_000), "the same sign"),
    ("orders/refund", "order_refunded.total", _money(-1), "must not be negative"),
    # times, dates, decimals
    ("orders/shipped", f"{_CHANGED}.order.created_at", Timestamp(nanos=-1), "nanos"),
    ("orders/shipped", f"{_CHANGED}.order.updated_at", Timestamp(seconds=-(2**40)), "1 to 9999"),
    ("orders/shipped", f"{_ITEM}.expiration_date", Date(year=2025), "day of the calendar"),
    (
        "orders/shipped",
        f"{_ITEM}.expiration_date",
        Date(year=2025, month=2, day=29),
        "day of the calendar",
    ),
    ("orders/shipped", f"{_PACKAGE}.weight.value", Decimal(value="heavy"), "finite decimal"),
    ("orders/shipped", f"{_PACKAGE}.weight.value", Decimal(value="NaN"), "finite decimal"),
    ("orders/shipped", f"{_PACKAGE}.weight.value", Decimal(value="Infinity"), "finite decimal"),
    ("orders/shipped", f"{_PACKAGE}.weight.value", Decimal(value="1_0"), "finite decimal"),
    ("orders/shipped", f"{_PACKAGE}.dimensions.width", Decimal(value=" 8"), "finite decimal"),
    # text
    ("orders/shipped", f"{_CHANGED}.order.number", "ORD\0", "NUL"),
    ("orders/shipped", f"{_PACKAGE}.items[0].lot", "\0", "NUL"),
    ("inventory/corrections", "actor.name", "a\0b", "NUL"),
]


@pytest.mark.parametrize(("event_type", "path", "value", "wrong"), _SETTINGS)
def test_field_with_a_forbidden_value_is_named(
    event_type: str, path: str, value: Any, wrong: str
) -> None:
    """
    A field with a forbidden value is named, and no other field is.
    """
    event = example_event(event_type)
    _set(path, value)(event)

    (found,) = check(event)
    assert found[0] == path
    assert wrong in found[1]


@pytest.mark.parametrize(
    ("event_type", "path"),
    [
        ("orders/shipped", "occurred_at"),
        ("orders/shipped", "order_status_changed.order"),
        ("orders/shipped", f"{_ITEM}.quantity"),
        ("inventory/corrections", "inventory_corrected.previous_quantity"),
        ("inventory/corrections", "inventory_corrected.new_quantity"),
        ("inventory/corrections", "inventory_corrected.adjustment"),
        ("inventory/mirror", "inventory_levels_changed.levels[0].available"),
        ("orders/updated_by_oms", "order_updated.order"),
        ("orders/sent_to_shipedge", "order_sent_to_fulfillment.order"),
        ("orders/refund", "order_refunded.order"),
        ("orders/refund", "order_refunded.total"),
        ("inventory/mirror", "inventory_levels_changed.levels"),
        ("replenishments/initiated", "replenishment_initiated.replenishment"),
        ("replenishments/received", "replenishment_received.replenishment"),
        ("replenishments/received", "replenishment_received.receipt"),
        ("returns/simple_initiated", "return_initiated.return_order"),
        ("returns/simple_received", "return_received.return_order"),
    ],
)
def test_missing_required_field_is_named(event_type: str, path: str) -> None:
    """
    A required field that is missing is named.
    """
    event = example_event(event_type)
    _clear(path)(event)

    assert check(event) == [(path, "is required")]


@pytest.mark.parametrize(
    ("event_type", "field", "label"),
    [
        ("orders/shipped", "order_status_changed.from_status", "from_label"),
        ("orders/shipped", "order_status_changed.order.fulfillment_type", "fulfillment_label"),
        ("orders/updated_by_oms", "order_updated.order.status", "status_label"),
        (
            "orders/sent_to_shipedge",
            "order_sent_to_fulfillment.destination",
            "destination_label",
        ),
        ("inventory/mirror", "inventory_levels_changed.cause", "cause_label"),
        (
            "replenishments/initiated",
            "replenishment_initiated.replenishment.status",
            "status_label",
        ),
        ("returns/simple_received", "return_received.return_order.status", "status_label"),
        (
            "returns/exchange_now_received",
            "return_received.return_order.exchange_order.status",
            "status_label",
        ),
    ],
)
def test_other_needs_a_label(event_type: str, field: str, label: str) -> None:
    """
    A value `OTHER` requires its label.
    """
    event = example_event(event_type)
    _set(field, ORDER_STATUS_OTHER)(event)
    path = f"{field.rpartition('.')[0]}.{label}"

    assert [found for found, _ in check(event)] == [path]
    _set(path, "Waiting for customs")(event)
    assert check(event) == []

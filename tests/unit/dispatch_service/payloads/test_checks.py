"""
The publishing checks: each rule, with the path of the field that breaks it.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money
from hypothesis import given, settings

from dispatch_service.payloads import check, example_event
from dispatch_service.payloads.checks import MAX_EVENT_BYTES, MAX_LINES
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_pb2 import Order, OrderItem
from shipedge.webhooks.events.v1.states_pb2 import (
    ORDER_STATUS_OTHER,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_SHIPPED,
    RETURN_TYPE_UNEXPECTED,
)
from tests.event_strategies import events

Spoil: TypeAlias = Callable[[Event], object]

_TOO_LARGE = 2**53


def _order(event: Event) -> Order:
    return event.order_status_changed.order


def _money(units: int = 0, nanos: int = 0, currency: str = "USD") -> Money:
    return Money(units=units, nanos=nanos, currency_code=currency)


def _set(path: str, value: Any) -> Spoil:
    """
    Make a change that sets the field at *path* to *value*.
    """

    def spoil(event: Event) -> None:
        target: Any = event
        *parents, last = path.split(".")
        for parent in parents:
            name, _, index = parent.partition("[")
            target = getattr(target, name)
            target = target[int(index[:-1])] if index else target
        if hasattr(value, "DESCRIPTOR"):
            getattr(target, last).CopyFrom(value)
        else:
            setattr(target, last, value)

    return spoil


def _clear(path: str) -> Spoil:
    """
    Make a change that takes the field at *path* away.
    """

    def spoil(event: Event) -> None:
        target: Any = event
        *parents, last = path.split(".")
        for name in parents:
            target = getattr(target, name)
        target.ClearField(last)

    return spoil


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
    ("inventory/mirror", "inventory_levels_changed.levels[0].reserved", -1, "must be 0 to"),
    ("inventory/mirror", "inventory_levels_changed.levels[0].available", -_TOO_LARGE, "within"),
    (
        "replenishments/received",
        "replenishment_received.receipt.items[0].quantity_hurt",
        -1,
        "must be 0 to",
    ),
    ("replenishments/initiated", "replenishment_initiated.replenishment.id", 0, "must be 1 to"),
    ("returns/simple_received", "return_received.return_order.id", 0, "must be 1 to"),
    (
        "returns/simple_received",
        "return_received.return_order.items[0].received_hurt",
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
def test_fields(event_type: str, path: str, value: Any, wrong: str) -> None:
    """
    A field with a value that it may not have is named, and nothing else is.
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
def test_required_fields(event_type: str, path: str) -> None:
    """
    A field that must be there is named where it is not.
    """
    event = example_event(event_type)
    _clear(path)(event)

    assert check(event) == [(path, "is required")]


def test_unset_status() -> None:
    """
    A status change must say what the status changed to.
    """
    event = example_event("orders/shipped")
    event.order_status_changed.ClearField("to_status")
    _order(event).ClearField("status")

    assert check(event) == [("order_status_changed.to_status", "is required")]


def test_items_without_status() -> None:
    """
    A change of items must name the items and their status.
    """
    event = example_event("orders/shipped")
    event.order_items_status_changed.order.id = 12345

    assert check(event) == [
        ("order_items_status_changed.item_status", "is required"),
        ("order_items_status_changed.items", "is required"),
    ]


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
    A value that is `OTHER` must be named.
    """
    event = example_event(event_type)
    _set(field, ORDER_STATUS_OTHER)(event)
    path = f"{field.rpartition('.')[0]}.{label}"

    assert [found for found, _ in check(event)] == [path]
    _set(path, "Waiting for customs")(event)
    assert check(event) == []


def test_statuses_that_disagree() -> None:
    """
    The order of a status change has the status that it changed to, or none.
    """
    event = example_event("orders/shipped")
    _order(event).status = ORDER_STATUS_PENDING

    assert check(event) == [
        ("order_status_changed.order.status", "must be to_status where it is set")
    ]


def test_labels_that_disagree() -> None:
    """
    Two statuses that are `OTHER` are the same when their labels are.
    """
    event = example_event("orders/shipped")
    change = event.order_status_changed
    change.to_status = change.order.status = ORDER_STATUS_OTHER
    change.to_label, change.order.status_label = "Waiting", "Elsewhere"

    assert [path for path, _ in check(event)] == ["order_status_changed.order.status_label"]


def test_adjustments() -> None:
    """
    An adjustment is what there is minus what there was.
    """
    event = example_event("inventory/corrections")
    event.inventory_corrected.adjustment = 5

    assert check(event) == [
        ("inventory_corrected.adjustment", "must be new_quantity minus previous_quantity")
    ]


def test_levels() -> None:
    """
    A change of levels has exactly one; it may be below zero.
    """
    event = example_event("inventory/mirror")
    change = event.inventory_levels_changed
    change.levels[0].available = -3
    assert check(event) == []

    change.levels.append(change.levels[0])
    assert check(event) == [("inventory_levels_changed.levels", "must be exactly one")]


def test_discounts_may_be_negative() -> None:
    """
    A discount is the only amount that may be negative.
    """
    event = example_event("orders/shipped")
    _order(event).totals.discount.CopyFrom(_money(-1, -500_000_000))

    assert check(event) == []


def test_one_currency() -> None:
    """
    All amounts of an order are in one currency.
    """
    event = example_event("orders/shipped")
    _order(event).shipments[0].cost.currency_code = "EUR"
    _order(event).totals.tax.currency_code = "EUR"

    assert check(event) == [
        (path, "must be in USD as the other amounts of the order")
        for path in (
            "order_status_changed.order.shipments[0].cost",
            "order_status_changed.order.totals.tax",
        )
    ]


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_digits_follow_the_currency(currency: str) -> None:
    """
    How many digits an amount may have depends on its currency.
    """
    event = example_event("orders/refund")
    refund = event.order_refunded
    refund.order.ClearField("items")
    refund.order.ClearField("totals")
    for field in ("items", "shipping", "tax"):
        refund.ClearField(field)
    refund.total.CopyFrom(_money(12, 345_000_000, currency))

    assert bool(check(event)) == (currency == "JPY")


def test_warehouses() -> None:
    """
    A warehouse is an id that may stand in a resource name.
    """
    event = example_event("orders/shipped")
    event.warehouses.extend(["", "a/b"])

    assert [path for path, _ in check(event)] == ["warehouses[1]", "warehouses[2]"]


def test_no_payload() -> None:
    """
    An event without a payload says nothing.
    """
    event = Event(event_id="e1", account_id=1, occurred_at=Timestamp(seconds=1))

    assert check(event) == [("payload", "is required")]


@pytest.mark.parametrize("state", ["failing", "recovered", "deactivated"])
def test_system_events(state: str) -> None:
    """
    The system's own events cannot be published.
    """
    ((path, wrong),) = check(example_event(f"webhooks/endpoint_{state}"))

    assert path == "endpoint_state_changed"
    assert "cannot be published" in wrong


def test_size() -> None:
    """
    An event of 256 KiB is accepted; one byte more is not.
    """
    event = example_event("inventory/corrections")
    event.inventory_corrected.reason = "x" * MAX_EVENT_BYTES
    surplus = event.ByteSize() - MAX_EVENT_BYTES
    event.inventory_corrected.reason = "x" * (MAX_EVENT_BYTES - surplus)
    assert event.ByteSize() == MAX_EVENT_BYTES
    assert check(event) == []

    event.inventory_corrected.reason += "x"
    assert check(event) == [
        ("inventory_corrected", f"the event must not be larger than {MAX_EVENT_BYTES} bytes")
    ]


def test_lines() -> None:
    """
    An event has 1,000 lines at most, those of its packages counted.
    """
    event = example_event("orders/shipped")
    items = _order(event).items
    items.extend(OrderItem(sku="S") for _ in range(MAX_LINES - 2))
    assert check(event) == []

    items.add(sku="S")
    assert check(event) == [
        ("order_status_changed", "must not have more than 1000 lines in all, has 1001")
    ]


def test_all_faults_are_named() -> None:
    """
    A publisher learns of everything that is wrong at once.
    """
    event = example_event("orders/shipped")
    event.account_id = 0
    _order(event).items[0].quantity = -1
    _order(event).customer.name = "\0"

    assert [path for path, _ in check(event)] == [
        "account_id",
        "order_status_changed.order.items[0].quantity",
        "order_status_changed.order.customer.name",
    ]


def test_events_that_raise_nothing() -> None:
    """
    What raises no event type is accepted all the same.
    """
    unchanged = example_event("orders/shipped")
    unchanged.order_status_changed.from_status = ORDER_STATUS_SHIPPED
    unexpected = example_event("returns/simple_initiated")
    unexpected.return_initiated.return_order.type = RETURN_TYPE_UNEXPECTED

    assert check(unchanged) == check(unexpected) == []


@settings(max_examples=50, deadline=None)
@given(events())
def test_valid_events_pass(event: Event) -> None:
    """
    No rule refuses an event that keeps them all.
    """
    assert check(event) == []

"""
The publishing checks of events as a whole.
"""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from hypothesis import given, settings

from dispatch_service.payloads import check, example_event
from dispatch_service.payloads.checks.events import MAX_EVENT_BYTES, MAX_LINES
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_pb2 import Order, OrderItem
from shipedge.webhooks.events.v1.states_pb2 import (
    ORDER_STATUS_OTHER,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_SHIPPED,
    RETURN_TYPE_UNEXPECTED,
)
from tests.support.event_strategies import events


def _order(event: Event) -> Order:
    return event.order_status_changed.order


def _money(units: int = 0, nanos: int = 0, currency: str = "USD") -> Money:
    return Money(units=units, nanos=nanos, currency_code=currency)


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

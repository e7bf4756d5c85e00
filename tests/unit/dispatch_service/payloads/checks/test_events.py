"""
Validation of whole events.
"""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from hypothesis import given

from dispatch_service.payloads import check, example_event
from dispatch_service.payloads.checks.events import MAX_EVENT_BYTES, MAX_LINES, MAX_WAREHOUSES
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_pb2 import Order, OrderItem
from shipedge.webhooks.events.v1.states_pb2 import (
    ORDER_STATUS_OTHER,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_SHIPPED,
    RETURN_TYPE_UNEXPECTED,
)
from tests.support.event_strategies import events
from tests.support.profiles import expensive


def _order(event: Event) -> Order:
    return event.order_status_changed.order


def _money(units: int = 0, nanos: int = 0, currency: str = "USD") -> Money:
    return Money(units=units, nanos=nanos, currency_code=currency)


def test_status_change_requires_a_status() -> None:
    """
    A status change requires its new status.
    """
    event = example_event("orders/shipped")
    event.order_status_changed.ClearField("to_status")
    _order(event).ClearField("status")

    assert check(event) == [("order_status_changed.to_status", "is required")]


def test_items_require_a_status() -> None:
    """
    A status change of items requires the items and their status.
    """
    event = example_event("orders/shipped")
    event.order_items_status_changed.order.id = 12345

    assert check(event) == [
        ("order_items_status_changed.item_status", "is required"),
        ("order_items_status_changed.items", "is required"),
    ]


def test_status_of_the_order_is_the_new_status() -> None:
    """
    The order of a status change has the new status, or none.
    """
    event = example_event("orders/shipped")
    _order(event).status = ORDER_STATUS_PENDING

    assert check(event) == [
        ("order_status_changed.order.status", "must be to_status where it is set")
    ]


def test_labels_of_other_statuses_are_equal() -> None:
    """
    Two statuses `OTHER` are equal only if their labels are.
    """
    event = example_event("orders/shipped")
    change = event.order_status_changed
    change.to_status = change.order.status = ORDER_STATUS_OTHER
    change.to_label, change.order.status_label = "Waiting", "Elsewhere"

    assert [path for path, _ in check(event)] == ["order_status_changed.order.status_label"]


def test_adjustment_is_the_difference() -> None:
    """
    An adjustment is the new quantity minus the previous one.
    """
    event = example_event("inventory/corrections")
    event.inventory_corrected.adjustment = 5

    assert check(event) == [
        ("inventory_corrected.adjustment", "must be new_quantity minus previous_quantity")
    ]


def test_change_has_exactly_one_level() -> None:
    """
    A change of levels has exactly one level; its available quantity may be negative.
    """
    event = example_event("inventory/mirror")
    change = event.inventory_levels_changed
    change.levels[0].available = -3
    assert check(event) == []

    change.levels.append(change.levels[0])
    assert check(event) == [("inventory_levels_changed.levels", "must be exactly one")]


def test_times_that_were_never_set_are_valid() -> None:
    """
    Times and dates that were never set are valid wherever they may be unset.
    """
    event = example_event("orders/shipped")
    _order(event).created_at.seconds = -62_135_596_800
    _order(event).updated_at.seconds = 0
    _order(event).items[0].expiration_date.CopyFrom(Date(year=1, month=1, day=1))
    _order(event).items.add(sku="S", quantity=1).expiration_date.SetInParent()

    assert check(event) == []


def test_discounts_may_be_negative() -> None:
    """
    A discount is the only amount that may be negative.
    """
    event = example_event("orders/shipped")
    _order(event).totals.discount.CopyFrom(_money(-1, -500_000_000))

    assert check(event) == []


def test_all_amounts_have_one_currency() -> None:
    """
    All amounts of an order have the same currency.
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
    The currency limits the digits of an amount.
    """
    event = example_event("orders/refund")
    refund = event.order_refunded
    refund.order.ClearField("items")
    refund.order.ClearField("totals")
    for field in ("items", "shipping", "tax"):
        refund.ClearField(field)
    refund.total.CopyFrom(_money(12, 345_000_000, currency))

    assert bool(check(event)) == (currency == "JPY")


def test_warehouse_is_an_id() -> None:
    """
    A warehouse is an id that is allowed in a resource name.
    """
    event = example_event("orders/shipped")
    event.warehouses.extend(["", "a/b"])

    assert [path for path, _ in check(event)] == ["warehouses[1]", "warehouses[2]"]


def test_payload_is_required() -> None:
    """
    An event requires a payload.
    """
    event = Event(event_id="e1", account_id=1, occurred_at=Timestamp(seconds=1))

    assert check(event) == [("payload", "is required")]


@pytest.mark.parametrize("state", ["failing", "recovered", "deactivated"])
def test_system_events_cannot_be_published(state: str) -> None:
    """
    Events of the service itself cannot be published.
    """
    ((path, wrong),) = check(example_event(f"webhooks/endpoint_{state}"))

    assert path == "endpoint_state_changed"
    assert "cannot be published" in wrong


def test_event_has_at_most_256_kib() -> None:
    """
    An event of 256 KiB is accepted; with one byte more it is refused.
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


def test_event_has_at_most_1000_lines() -> None:
    """
    An event has at most 1,000 lines, including those of packages.
    """
    event = example_event("orders/shipped")
    items = _order(event).items
    items.extend(OrderItem(sku="S", quantity=0) for _ in range(MAX_LINES - 2))
    assert check(event) == []

    items.add(sku="S", quantity=0)
    assert check(event) == [
        ("order_status_changed", "must not have more than 1000 lines in all, has 1001")
    ]


def test_all_faults_are_named() -> None:
    """
    All faults of an event are reported at once.
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


def test_event_that_raises_nothing_is_accepted() -> None:
    """
    An event that raises no event type is accepted.
    """
    unchanged = example_event("orders/shipped")
    unchanged.order_status_changed.from_status = ORDER_STATUS_SHIPPED
    unexpected = example_event("returns/simple_initiated")
    unexpected.return_initiated.return_order.type = RETURN_TYPE_UNEXPECTED

    assert check(unchanged) == check(unexpected) == []


@pytest.mark.slow
@expensive(few=25)
@given(events())
def test_valid_events_pass(event: Event) -> None:
    """
    An event that meets all rules has no faults.
    """
    assert check(event) == []


def test_event_of_too_many_warehouses() -> None:
    """
    Their number is bounded, so that one event is not as much work as thousands.
    """
    event = example_event("inventory/corrections")
    event.warehouses[:] = [f"wh{index}" for index in range(MAX_WAREHOUSES)]
    assert check(event) == []

    event.warehouses.append("wh1")
    event.inventory_corrected.warehouse = "Main hall, row 7"
    assert check(event) == []

    event.inventory_corrected.warehouse = "another"
    assert check(event) == [
        ("warehouses", f"must be {MAX_WAREHOUSES} at most, those of the payload too")
    ]


def test_payload_of_a_later_release_is_named() -> None:
    """
    An event of a kind that this release does not know is refused as such, not as an empty one.
    """
    event = example_event("orders/shipped")
    event.ClearField("payload")
    assert check(event) == [("payload", "is required")]

    # Field 99, length-delimited, and empty.
    event.MergeFromString(b"\x9a\x06\x00")

    ((path, text),) = check(event)
    assert path == "payload"
    assert "upgrade services before publishers" in text

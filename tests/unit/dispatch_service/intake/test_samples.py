"""
The events that tests send, made for their subscription.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispatch_service.domain.errors import EventInvalid, EventTypeNotRaised
from dispatch_service.intake.samples import Source, chosen_event, sample_event
from dispatch_service.payloads import check, example_event
from dispatch_service.payloads.core.warehouses import warehouses_of
from service_runtime.rpc.errors import InvalidArgument
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.dispatch_factories import NOW, subscription

OF_ACCOUNT = subscription()
OF_WAREHOUSE = subscription(owner="warehouses/wh1")
ACCEPTED = "accounts/100/events/e1"


def shipped(change: Callable[[Event], object] | None = None) -> Event:
    """
    Make a valid event about a shipped order, changed.
    """
    event = example_event("orders/shipped")
    event.account_id = 100
    if change is not None:
        change(event)
    return event


def without_warehouses(event: Event) -> None:
    event.ClearField("warehouses")
    order = event.order_status_changed.order
    for shipment in order.shipments:
        shipment.ClearField("warehouse")


def elsewhere(event: Event) -> None:
    without_warehouses(event)
    event.warehouses.append("other")


@pytest.mark.parametrize("of", [OF_ACCOUNT, OF_WAREHOUSE], ids=lambda it: it.owner)
def test_chosen_event_is_the_same_under_another_id(of: object) -> None:
    """
    What was given is not changed.
    """
    given = shipped(lambda it: it.warehouses.append("wh1"))
    before = Event()
    before.CopyFrom(given)
    found = chosen_event(of, "test_1", Source(given))  # type: ignore[arg-type]
    assert found.event_id == "test_1"
    assert given == before
    found.event_id = given.event_id
    assert found == given


def test_owner_may_be_left_out() -> None:
    """
    It is the subscription's then; the event is valid with it.
    """
    found = chosen_event(OF_ACCOUNT, "t", Source(shipped(lambda it: it.ClearField("account_id"))))
    assert found.account_id == 100
    found = chosen_event(OF_WAREHOUSE, "t", Source(shipped(without_warehouses)))
    assert warehouses_of(found) == ["wh1"]


@pytest.mark.parametrize(
    ("of", "change", "fields"),
    [
        (OF_ACCOUNT, lambda it: setattr(it, "account_id", 200), ["event.account_id"]),
        (OF_WAREHOUSE, elsewhere, ["event.warehouses"]),
        (OF_WAREHOUSE, lambda it: it.ClearField("account_id"), ["event.account_id"]),
        (OF_ACCOUNT, lambda it: it.ClearField("occurred_at"), ["event.occurred_at"]),
        (OF_ACCOUNT, lambda it: it.ClearField("order_status_changed"), ["event.payload"]),
        (OF_WAREHOUSE, lambda it: it.ClearField("order_status_changed"), ["event.payload"]),
        (
            OF_ACCOUNT,
            lambda it: it.order_status_changed.order.ClearField("id"),
            ["event.order_status_changed.order.id"],
        ),
        (
            OF_ACCOUNT,
            lambda it: it.endpoint_state_changed.SetInParent(),
            ["event.endpoint_state_changed"],
        ),
    ],
)
def test_bad_events_are_refused_by_field(
    of: object, change: Callable[[Event], object], fields: list[str]
) -> None:
    """
    Also one of another owner.
    """
    with pytest.raises(InvalidArgument) as raised:
        chosen_event(of, "t", Source(shipped(change)))  # type: ignore[arg-type]
    assert [fault.field for fault in raised.value.faults] == fields


def test_accepted_event_of_others_is_refused_by_its_field() -> None:
    """
    It was checked when it was accepted; rules that came later do not count.
    """
    for of, change in (
        (OF_ACCOUNT, lambda it: setattr(it, "account_id", 200)),
        (OF_WAREHOUSE, elsewhere),
    ):
        with pytest.raises(InvalidArgument) as raised:
            chosen_event(of, "t", Source(shipped(change), ACCEPTED))
        assert [fault.field for fault in raised.value.faults] == ["accepted_event"]
        assert of.owner in raised.value.faults[0].description
    old = shipped(lambda it: it.order_status_changed.order.ClearField("id"))
    assert chosen_event(OF_ACCOUNT, "t", Source(old, ACCEPTED)).event_id == "t"
    with pytest.raises(EventInvalid):
        chosen_event(OF_ACCOUNT, "t", Source(old))


def test_event_must_raise_the_event_type() -> None:
    """
    Otherwise there would be no payload of it.
    """
    canceled = subscription(event_type="orders/canceled")
    with pytest.raises(EventTypeNotRaised) as raised:
        chosen_event(canceled, "t", Source(shipped()))
    assert "orders/shipped" in raised.value.metadata["raised"]


def test_audit_log_says_which_event_was_accepted() -> None:
    """
    Of one that was given only that it was sent.
    """
    assert [it.after for it in Source(shipped(), ACCEPTED).changes()] == [ACCEPTED]
    assert list(Source(shipped()).changes()) == []


@pytest.mark.parametrize("of", [OF_ACCOUNT, OF_WAREHOUSE], ids=lambda it: it.owner)
def test_sample_is_of_the_owner_and_now(of: object) -> None:
    """
    And valid.
    """
    event = sample_event(of, "test_1", NOW)  # type: ignore[arg-type]
    assert event.event_id == "test_1"
    assert event.occurred_at.ToJsonString() == "2024-01-15T10:30:00Z"
    assert check(event) == []

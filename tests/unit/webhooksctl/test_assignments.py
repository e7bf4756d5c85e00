"""
Assignments to fields of samples.
"""

from __future__ import annotations

from typing import Any

import pytest

from shipedge.webhooks.events.v1.event_pb2 import ACTOR_KIND_SYSTEM, Event
from shipedge.webhooks.events.v1.states_pb2 import ORDER_STATUS_BACKORDER
from webhooksctl.rpc.names import account_of
from webhooksctl.samples.assignments import assign, move
from webhooksctl.samples.events import sample


def assigned(text: str) -> Any:
    """
    Return the sample of a shipped order with an assignment.
    """
    event = sample("orders/shipped")
    assign(event, text)
    return event


def test_fields_of_what_the_event_says_are_set() -> None:
    """
    Texts, numbers, enums by their words, times, and items of lists.
    """
    order = assigned("order.number=SO-9=x").order_status_changed.order

    assert order.number == "SO-9=x"
    assert assigned("order.id=77").order_status_changed.order.id == 77
    assert assigned("to_status=backorder").order_status_changed.to_status == ORDER_STATUS_BACKORDER
    assert assigned("order.items[0].sku=A-1").order_status_changed.order.items[0].sku == "A-1"
    assert assigned("order.number=").order_status_changed.order.number == ""


def test_an_item_behind_the_last_is_added() -> None:
    """
    But none further behind.
    """
    count = len(sample("orders/shipped").order_status_changed.order.items)
    longer = assigned(f"order.items[{count}].sku=B").order_status_changed.order

    assert [it.sku for it in longer.items][count:] == ["B"]
    with pytest.raises(ValueError, match=f"items has {count} items"):
        assigned(f"order.items[{count + 1}].sku=B")


def test_fields_of_the_event_are_set_too() -> None:
    """
    Messages and lists are JSON.
    """
    assert assigned("channel=shopify").channel == "shopify"
    assert assigned("sequence=8").sequence == 8
    assert list(assigned('warehouses=["W1"]').warehouses) == ["W1"]
    actor = assigned('actor={"kind": "ACTOR_KIND_SYSTEM", "name": "job"}').actor
    assert (actor.kind, actor.name) == (ACTOR_KIND_SYSTEM, "job")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order.number", "has no value"),
        ("order.colour=red", "there is no colour; there are id, number"),
        ("Order!=1", "is no path"),
        ("order.number.x=1", "number holds no fields"),
        ("order.items.sku=1", "items holds no fields"),
        ("order.items[0]=1", r"set the fields of items\[0\]"),
        ("order.id=many", "order.id: "),
        ("to_status=lost", "'lost' is none of "),
        ("event_id=x", "not set by hand"),
        ("account_id=7", "not set by hand"),
        ("order.items=[", "order.items: "),
    ],
)
def test_what_cannot_be_set_is_named(text: str, message: str) -> None:
    """
    With what is allowed there.
    """
    with pytest.raises(ValueError, match=message):
        assigned(text)


def warehouses(message: Any) -> set[str]:
    """
    Return all values of fields `warehouse`.
    """
    found = set()
    for field, value in message.ListFields():
        if field.name == "warehouse":
            found.add(value)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                found |= warehouses(each)
    return found


def test_a_sample_is_moved_to_another_warehouse() -> None:
    """
    All of it, or to none.
    """
    moved, nowhere = sample("orders/shipped"), sample("orders/shipped")
    move(moved, "W7")
    move(nowhere, "")

    assert warehouses(sample("orders/shipped")) == {"wh1"}
    assert warehouses(moved) == {"W7"}
    assert warehouses(nowhere) == set()
    assert isinstance(moved, Event)


def test_events_happen_in_an_account() -> None:
    """
    A warehouse is no account, and neither are all.
    """
    assert account_of("accounts/100") == 100
    for owner in ("warehouses/100", "accounts/-"):
        with pytest.raises(ValueError, match="--owner"):
            account_of(owner)

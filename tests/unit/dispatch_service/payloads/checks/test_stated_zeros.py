"""
Zeros that a message states, and NUL characters in its texts.
"""

import pytest
from hypothesis import given

from dispatch_service.payloads import example_event
from dispatch_service.payloads.checks.events import find_faults, is_certainly_valid
from dispatch_service.payloads.checks.stated_zeros import zero_count_of
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryLevel
from shipedge.webhooks.events.v1.order_pb2 import Order
from tests.support.event_strategies import events
from tests.support.profiles import expensive


def test_zeros_are_counted_wherever_they_are() -> None:
    """
    Zeros are counted in nested messages and in all elements of lists; absent fields are not.
    """
    count = zero_count_of(Order.DESCRIPTOR)
    order = Order(id=0, number="")
    assert count(order) == 0

    order.items.add(quantity=0, quantity_shipped=0)
    order.items.add(quantity=1)
    order.shipments.add().packages.add().items.add(quantity=0)
    assert count(order) == order.SerializeToString().count(b"\0") == 3


def test_zeros_of_a_message_without_lists() -> None:
    """
    Each number of a level that is 0 counts once.
    """
    count = zero_count_of(InventoryLevel.DESCRIPTOR)

    assert count(InventoryLevel(available=0, hurt=0, reserved=2)) == 2


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("nul", [False, True])
def test_nul_beside_zeros_is_found(zeros: int, nul: bool) -> None:
    """
    A NUL in a text is found, however many zeros the event states; zeros alone are no doubt.
    """
    event = example_event("orders/shipped")
    item = event.order_status_changed.order.items[0]
    item.description = "a\0b" if nul else "ab"
    if zeros > 0:
        item.quantity_shipped = 0
    if zeros > 1:
        item.quantity = 0
    content = event.SerializeToString()

    assert is_certainly_valid(event, content) == (not nul)
    assert [path for path, _ in find_faults(event, content)] == (
        ["order_status_changed.order.items[0].description"] if nul else []
    )


@pytest.mark.slow
@expensive(few=25)
@given(events())
def test_valid_events_have_no_other_zero_bytes(event: Event) -> None:
    """
    Zero bytes of a valid event are the zeros that it states, or belong to empty parts.
    """
    payload = getattr(event, event.WhichOneof("payload") or "")
    zeros = zero_count_of(payload.DESCRIPTOR)(payload)

    assert zeros <= payload.SerializeToString(deterministic=True).count(b"\0")

"""
Zeros that a message states, and NUL characters in its texts.
"""

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.payloads.checks.events import find_faults, is_certainly_valid
from dispatch_service.payloads.checks.fast_path import DOUBT, fast_check_of
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryLevel
from shipedge.webhooks.events.v1.order_pb2 import Order
from shipedge.webhooks.events.v1.replenishment_pb2 import Receipt


def test_zeros_are_counted_wherever_they_are() -> None:
    """
    Zeros are counted in nested messages and in all elements of lists; absent fields are not.
    """
    stated_zeros = fast_check_of(Order.DESCRIPTOR)
    order = Order(id=1, number="")
    assert stated_zeros(order, {}) == 0

    order.items.add(sku="A", quantity=0, quantity_shipped=0)
    order.items.add(sku="B", quantity=1)
    order.shipments.add().packages.add().items.add(quantity=0)
    assert stated_zeros(order, {}) == order.SerializeToString().count(b"\0") == 3

    order.items[1].ClearField("quantity")
    assert stated_zeros(order, {}) == DOUBT


def test_flags_and_levels_are_counted() -> None:
    """
    Each number of a level that is 0 counts once, and so does a flag that is false.
    """
    level = InventoryLevel(sku="S", available=0, hurt=0, reserved=2)
    receipt = Receipt(complete=False)

    assert fast_check_of(InventoryLevel.DESCRIPTOR)(level, {}) == 2
    assert fast_check_of(Receipt.DESCRIPTOR)(receipt, {}) == 1
    assert fast_check_of(Receipt.DESCRIPTOR)(Receipt(), {}) == 0


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

"""
The items that a change of an order is about, with their quantities.

Two domain events are about items: a status change of single items, and a status change of the
whole order, which applies to all of its items.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from dispatch_service.payloads.core.presence import optional_flag, optional_number
from shipedge.webhooks.events.v1.order_events_pb2 import (
    ItemChange,
    OrderItemsStatusChanged,
    OrderStatusChanged,
)
from shipedge.webhooks.events.v1.order_pb2 import OrderItem, Shipment

ItemsChange: TypeAlias = OrderStatusChanged | OrderItemsStatusChanged


class Line(NamedTuple):
    """
    An item with the quantities that a body shows; None where one is not known.
    """

    item: OrderItem | ItemChange
    quantity: int | None
    ordered: int | None
    remaining: int | None


def shipments_of(change: ItemsChange) -> Sequence[Shipment]:
    """
    Return the shipments of the items: for a whole order, all of its shipments.
    """
    if isinstance(change, OrderStatusChanged):
        return change.order.shipments[:]
    return [change.shipment] if change.HasField("shipment") else []


def shipped_lines(change: ItemsChange) -> list[Line]:
    """
    Return the shipped items with their remaining quantities.

    If no line of a whole order states a shipped quantity, all count as shipped in full: some
    services do not keep that number. If some do, it is not known of the others.
    """
    if isinstance(change, OrderItemsStatusChanged):
        return _changed_lines(change)
    items = change.order.items
    if not any(item.HasField("quantity_shipped") for item in items):
        return _whole_lines(change)
    return [_counted_line(item, optional_number(item, "quantity_shipped")) for item in items]


def _counted_line(item: OrderItem, shipped: int | None) -> Line:
    ordered = item.quantity
    return Line(item, shipped, ordered, None if shipped is None else max(ordered - shipped, 0))


def pending_lines(change: ItemsChange) -> list[Line]:
    """
    Return the items that became pending; for a whole order, all items in full.
    """
    if isinstance(change, OrderItemsStatusChanged):
        return _changed_lines(change)
    return _whole_lines(change)


def _whole_lines(change: OrderStatusChanged) -> list[Line]:
    return [Line(item, item.quantity, item.quantity, 0) for item in change.order.items]


def _changed_lines(change: OrderItemsStatusChanged) -> list[Line]:
    return [
        Line(
            item,
            item.quantity,
            optional_number(item, "quantity_ordered"),
            optional_number(item, "quantity_remaining"),
        )
        for item in change.items
    ]


def is_complete(change: ItemsChange, lines: Sequence[Line]) -> bool | None:
    """
    Tell whether all items have changed; None if that is not known.
    """
    if isinstance(change, OrderItemsStatusChanged):
        return optional_flag(change, "complete")
    if any(line.remaining for line in lines):
        return False
    return None if any(line.remaining is None for line in lines) else True

"""
Builders of `orders/shipped_items` and `orders/pending_items`.

Two domain events raise these event types: a status change of single items, and a status change
of the whole order, which applies to all of its items.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import FULFILLMENT_TYPES, enum_string
from dispatch_service.payloads.core.envelope import envelope
from dispatch_service.payloads.core.presence import optional_flag, optional_number
from dispatch_service.payloads.core.times import (
    optional_date,
    optional_instant,
    plain_time,
)
from dispatch_service.payloads.orders import items_shapes as shapes
from dispatch_service.payloads.orders.values import first_time, status_after, tracking
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    ItemChange,
    OrderItemsStatusChanged,
    OrderStatusChanged,
)
from shipedge.webhooks.events.v1.order_pb2 import Order, OrderItem, Shipment

ItemsChange: TypeAlias = OrderStatusChanged | OrderItemsStatusChanged


class Line(NamedTuple):
    """
    An item with the quantities that a body shows.
    """

    item: OrderItem | ItemChange
    quantity: int | None
    ordered: int | None
    remaining: int | None


def _shipments(change: ItemsChange) -> Sequence[Shipment]:
    """
    Return the shipments of the items: for a whole order, all of its shipments.
    """
    if isinstance(change, OrderStatusChanged):
        return change.order.shipments[:]
    return [change.shipment] if change.HasField("shipment") else []


def _shipped_lines(change: ItemsChange) -> list[Line]:
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


def _pending_lines(change: ItemsChange) -> list[Line]:
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


def _is_complete(change: ItemsChange, lines: list[Line]) -> bool | None:
    """
    Tell whether all items have changed; None if that is not known.
    """
    if isinstance(change, OrderItemsStatusChanged):
        return optional_flag(change, "complete")
    if any(line.remaining for line in lines):
        return False
    return None if any(line.remaining is None for line in lines) else True


def _v1(event: Event, change: ItemsChange, wire_name: str, lines: list[Line]) -> shapes.ItemsV1:
    return shapes.ItemsV1(
        event=wire_name,
        account_id=event.account_id,
        order_id=change.order.id,
        order_number=change.order.number or None,
        date=plain_time(event.occurred_at),
        items=[shapes.ItemV1(sku=line.item.sku, quantity=line.quantity) for line in lines],
    )


def shipped_v1(event: Event, change: ItemsChange, wire_name: str) -> shapes.ItemsV1:
    return _v1(event, change, wire_name, _shipped_lines(change))


def pending_v1(event: Event, change: ItemsChange, wire_name: str) -> shapes.ItemsV1:
    return _v1(event, change, wire_name, _pending_lines(change))


def _item_keys(line: Line) -> dict[str, Any]:
    """
    Build the keys of an item that versions 2 and 3 share.
    """
    item = line.item
    return {
        "sku": item.sku,
        "quantity": line.quantity,
        "description": item.description or None,
        "quantity_ordered": line.ordered,
        "quantity_remaining": line.remaining,
        "lot": item.lot or None,
        "expiration_date": optional_date(item, "expiration_date"),
        "serial_numbers": list(item.serial_numbers),
    }


def _keys_v2(event: Event, change: ItemsChange, wire_name: str) -> dict[str, Any]:
    return {
        "event": wire_name,
        "account_id": event.account_id,
        "order_id": change.order.id,
        "order_number": change.order.number or None,
        "order_reference": change.order.reference or None,
        "status": status_after(change),
    }


def shipped_v2(event: Event, change: ItemsChange, wire_name: str) -> shapes.ShippedItemsV2:
    """
    Build version 2 of `orders/shipped_items`.

    The time of the event stands in for a missing time of shipment.
    """
    shipments = _shipments(change)
    number, carrier, method = tracking(change.order, shipments)
    return shapes.ShippedItemsV2(
        **_keys_v2(event, change, wire_name),
        shipped_date=plain_time(first_time(shipments) or event.occurred_at),
        tracking_number=number,
        carrier=carrier,
        shipping_method=method,
        items=[shapes.ItemV2(**_item_keys(line)) for line in _shipped_lines(change)],
    )


def pending_v2(event: Event, change: ItemsChange, wire_name: str) -> shapes.PendingItemsV2:
    return shapes.PendingItemsV2(
        **_keys_v2(event, change, wire_name),
        pending_date=plain_time(event.occurred_at),
        tracking_number=None,
        carrier=None,
        shipping_method=change.order.shipping_method or None,
        items=[shapes.ItemV2(**_item_keys(line)) for line in _pending_lines(change)],
    )


def _items_v3(lines: list[Line]) -> list[shapes.ItemV3]:
    return [shapes.ItemV3(line_id=line.item.line_id or None, **_item_keys(line)) for line in lines]


def _order_keys(order: Order, status: str | None) -> dict[str, Any]:
    fulfilled_by = enum_string(FULFILLMENT_TYPES, order.fulfillment_type, order.fulfillment_label)
    return {
        "id": order.id,
        "number": order.number or None,
        "reference": order.reference or None,
        "status": status,
        "fulfillment_type": fulfilled_by,
    }


def _shipment_v3(shipments: Sequence[Shipment]) -> shapes.ItemsShipmentV3 | None:
    if not shipments:
        return None
    shipment = shipments[0]
    return shapes.ItemsShipmentV3(
        id=shipment.id or None,
        shipped_at=optional_instant(shipment, "shipped_at"),
        carrier=shipment.carrier or None,
        shipping_method=shipment.shipping_method or None,
        tracking_number=shipment.tracking_number or None,
        tracking_url=shipment.tracking_url or None,
    )


def shipped_v3(event: Event, change: ItemsChange, wire_name: str) -> shapes.ShippedItemsBodyV3:
    lines = _shipped_lines(change)
    contents = shapes.ShippedItemsDataV3(
        order=shapes.ItemsOrderV3(**_order_keys(change.order, status_after(change))),
        item_status="shipped",
        complete=_is_complete(change, lines),
        items=_items_v3(lines),
        shipment=_shipment_v3(_shipments(change)),
    )
    return shapes.ShippedItemsBodyV3(
        **envelope(event, wire_name), order_id=change.order.id, data=contents
    )


def pending_v3(event: Event, change: ItemsChange, wire_name: str) -> shapes.PendingItemsBodyV3:
    lines = _pending_lines(change)
    order = shapes.PendingOrderV3(
        **_order_keys(change.order, status_after(change)),
        shipping_method=change.order.shipping_method or None,
    )
    contents = shapes.PendingItemsDataV3(
        order=order,
        item_status="pending",
        complete=_is_complete(change, lines),
        items=_items_v3(lines),
        shipment=None,
    )
    return shapes.PendingItemsBodyV3(
        **envelope(event, wire_name), order_id=change.order.id, data=contents
    )


BUILDERS: dict[Key, Builder] = {
    ("orders/shipped_items", "v1"): shipped_v1,
    ("orders/shipped_items", "v2"): shipped_v2,
    ("orders/shipped_items", "v3"): shipped_v3,
    ("orders/pending_items", "v1"): pending_v1,
    ("orders/pending_items", "v2"): pending_v2,
    ("orders/pending_items", "v3"): pending_v3,
}

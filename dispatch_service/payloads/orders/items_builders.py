"""
Builders of `orders/shipped_items` and `orders/pending_items`.
"""

from collections.abc import Sequence
from typing import Any

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.envelope import envelope
from dispatch_service.payloads.core.times import optional_date, optional_plain_time, plain_time
from dispatch_service.payloads.orders import items_shapes as shapes
from dispatch_service.payloads.orders.item_lines import (
    ItemsChange,
    Line,
    is_complete,
    pending_lines,
    shipments_of,
    shipped_lines,
)
from dispatch_service.payloads.orders.item_shipments import ItemShipment, shipments_of_items
from dispatch_service.payloads.orders.order_summary import summary_of
from dispatch_service.payloads.orders.order_v3_builders import shipment_of
from dispatch_service.payloads.orders.values import first_time, status_after, tracking
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_pb2 import Shipment


def _v1(event: Event, change: ItemsChange, topic: str, lines: list[Line]) -> shapes.ItemsV1:
    return shapes.ItemsV1(
        event=topic,
        account_id=event.account_id,
        order_id=change.order.id,
        order_number=change.order.number or None,
        date=plain_time(event.occurred_at),
        items=[shapes.ItemV1(sku=line.item.sku, quantity=line.quantity) for line in lines],
    )


def shipped_v1(event: Event, change: ItemsChange, topic: str) -> shapes.ItemsV1:
    return _v1(event, change, topic, shipped_lines(change))


def pending_v1(event: Event, change: ItemsChange, topic: str) -> shapes.ItemsV1:
    return _v1(event, change, topic, pending_lines(change))


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
        "serial_numbers": item.serial_numbers[:],
    }


def _keys_v2(event: Event, change: ItemsChange, topic: str) -> dict[str, Any]:
    return {
        "event": topic,
        "account_id": event.account_id,
        "order_id": change.order.id,
        "order_number": change.order.number or None,
        "order_reference": change.order.reference or None,
        "status": status_after(change),
    }


def _shipment_v2(taken: ItemShipment) -> shapes.ItemShipmentV2:
    shipment = taken.shipment
    return shapes.ItemShipmentV2(
        id=shipment.id or None,
        tracking_number=taken.tracking_number or None,
        carrier=shipment.carrier or None,
        shipping_method=shipment.shipping_method or None,
        shipped_date=optional_plain_time(shipment, "shipped_at"),
        quantity=taken.quantity,
    )


def _items_v2(lines: Sequence[Line], shipments: Sequence[Shipment]) -> list[shapes.ItemV2]:
    return [
        shapes.ItemV2(**_item_keys(line), shipments=[_shipment_v2(it) for it in taken])
        for line, taken in zip(lines, shipments_of_items(shipments, lines), strict=True)
    ]


def shipped_v2(event: Event, change: ItemsChange, topic: str) -> shapes.ShippedItemsV2:
    """
    Build version 2 of `orders/shipped_items`.

    The time of the event stands in for a missing time of shipment.
    """
    shipments = shipments_of(change)
    number, carrier, method = tracking(change.order, shipments)
    return shapes.ShippedItemsV2(
        **_keys_v2(event, change, topic),
        shipped_date=plain_time(first_time(shipments) or event.occurred_at),
        tracking_number=number,
        carrier=carrier,
        shipping_method=method,
        items=_items_v2(shipped_lines(change), shipments),
    )


def pending_v2(event: Event, change: ItemsChange, topic: str) -> shapes.PendingItemsV2:
    return shapes.PendingItemsV2(
        **_keys_v2(event, change, topic),
        pending_date=plain_time(event.occurred_at),
        tracking_number=None,
        carrier=None,
        shipping_method=change.order.shipping_method or None,
        items=_items_v2(pending_lines(change), ()),
    )


def _shipment_v3(taken: ItemShipment) -> shapes.ItemShipmentV3:
    return shapes.ItemShipmentV3(
        id=taken.shipment.id or None,
        tracking_number=taken.tracking_number or None,
        quantity=taken.quantity,
    )


def _items_v3(lines: Sequence[Line], shipments: Sequence[Shipment]) -> list[shapes.ItemV3]:
    return [
        shapes.ItemV3(
            line_id=line.item.line_id or None,
            **_item_keys(line),
            channel_line_id=line.item.channel_line_id or None,
            shipments=[_shipment_v3(it) for it in taken],
        )
        for line, taken in zip(lines, shipments_of_items(shipments, lines), strict=True)
    ]


def _data_v3(
    change: ItemsChange, status: str, lines: Sequence[Line], shipments: Sequence[Shipment]
) -> shapes.ItemsDataV3:
    return shapes.ItemsDataV3(
        order=summary_of(change.order, status_after(change)),
        item_status=status,
        complete=is_complete(change, lines),
        items=_items_v3(lines, shipments),
        shipments=[shipment_of(shipment) for shipment in shipments],
    )


def _body_v3(
    event: Event, change: ItemsChange, topic: str, contents: shapes.ItemsDataV3
) -> shapes.ItemsBodyV3:
    order = change.order
    return shapes.ItemsBodyV3(
        **envelope(event, topic, order.channel), order_id=order.id, data=contents
    )


def shipped_v3(event: Event, change: ItemsChange, topic: str) -> shapes.ItemsBodyV3:
    contents = _data_v3(change, "shipped", shipped_lines(change), shipments_of(change))
    return _body_v3(event, change, topic, contents)


def pending_v3(event: Event, change: ItemsChange, topic: str) -> shapes.ItemsBodyV3:
    """
    Build version 3 of `orders/pending_items`: such items have no shipments.
    """
    contents = _data_v3(change, "pending", pending_lines(change), ())
    return _body_v3(event, change, topic, contents)


BUILDERS: dict[Key, Builder] = {
    ("orders/shipped_items", "v1"): shipped_v1,
    ("orders/shipped_items", "v2"): shipped_v2,
    ("orders/shipped_items", "v3"): shipped_v3,
    ("orders/pending_items", "v1"): pending_v1,
    ("orders/pending_items", "v2"): pending_v2,
    ("orders/pending_items", "v3"): pending_v3,
}

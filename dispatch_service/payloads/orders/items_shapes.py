"""
Shapes of the bodies of `orders/shipped_items` and `orders/pending_items`.
"""

from typing import Annotated

from dispatch_service.payloads.core.enum_strings import (
    ItemStatusText,
    OrderStatusText,
)
from dispatch_service.payloads.core.envelope import Envelope, Sequence
from dispatch_service.payloads.core.field_types import (
    Body,
    CalendarDate,
    Part,
    PlainTime,
    Quantity,
    ResourceId,
    note,
)
from dispatch_service.payloads.orders.order_summary import OrderSummaryV3
from dispatch_service.payloads.orders.order_v3_shapes import ShipmentV3
from dispatch_service.payloads.orders.several_shipments import (
    FIRST_CARRIER,
    FIRST_METHOD,
    FIRST_TRACKING_NUMBER,
)


class ItemV1(Part, frozen=True, kw_only=True):
    """
    An item, in short.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[Quantity | None, note("How many changed.")]


class ItemsV1(Body, frozen=True, kw_only=True):
    """
    Items of an order, in short.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    date: Annotated[PlainTime, note("When the event happened, in UTC.")]
    items: Annotated[list[ItemV1], note("The items that changed.")]


class ItemShipmentV2(Part, frozen=True, kw_only=True):
    """
    A shipment that took an item.
    """

    id: Annotated[str | None, note("The id of the shipment.")]
    tracking_number: Annotated[
        str | None, note("The tracking number of the shipment, else of the package with the item.")
    ]
    carrier: Annotated[str | None, note("The carrier of the shipment.")]
    shipping_method: Annotated[str | None, note("The shipping method that was used.")]
    shipped_date: Annotated[PlainTime | None, note("When it left, in UTC.")]
    quantity: Annotated[Quantity | None, note("How many of the item it took.")]


class ItemV2(Part, frozen=True, kw_only=True):
    """
    An item.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[Quantity | None, note("How many changed.")]
    description: Annotated[str | None, note("What it is.")]
    quantity_ordered: Annotated[Quantity | None, note("How many were ordered.")]
    quantity_remaining: Annotated[Quantity | None, note("How many have not changed yet.")]
    lot: Annotated[str | None, note("The lot that was taken.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]
    serial_numbers: Annotated[list[str], note("The serial numbers that were taken.")]
    shipments: Annotated[
        list[ItemShipmentV2], note("The shipments that took it; empty where that is not known.")
    ]


class ShippedItemsV2(Body, frozen=True, kw_only=True):
    """
    Items of an order that were shipped.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    order_reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    shipped_date: Annotated[PlainTime, note("When the first shipment left, in UTC.")]
    tracking_number: Annotated[str | None, note(FIRST_TRACKING_NUMBER)]
    carrier: Annotated[str | None, note(FIRST_CARRIER)]
    shipping_method: Annotated[str | None, note(FIRST_METHOD)]
    items: Annotated[list[ItemV2], note("The items that were shipped.")]


class PendingItemsV2(Body, frozen=True, kw_only=True):
    """
    Items of an order that became pending.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    order_reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    pending_date: Annotated[PlainTime, note("When the items became pending, in UTC.")]
    tracking_number: Annotated[None, note("Always null: the items have not left.")]
    carrier: Annotated[None, note("Always null: the items have not left.")]
    shipping_method: Annotated[str | None, note("The method that was asked for.")]
    items: Annotated[list[ItemV2], note("The items that became pending.")]


class ItemShipmentV3(Part, frozen=True, kw_only=True):
    """
    A shipment that took an item.
    """

    id: Annotated[str | None, note("The id of the shipment.")]
    tracking_number: Annotated[
        str | None, note("The tracking number of the shipment, else of the package with the item.")
    ]
    quantity: Annotated[Quantity | None, note("How many of the item it took.")]


class ItemV3(Part, frozen=True, kw_only=True):
    """
    An item.
    """

    line_id: Annotated[str | None, note("The id of the line within the order.")]
    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity: Annotated[Quantity | None, note("How many changed.")]
    quantity_ordered: Annotated[Quantity | None, note("How many were ordered.")]
    quantity_remaining: Annotated[Quantity | None, note("How many have not changed yet.")]
    lot: Annotated[str | None, note("The lot that was taken.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]
    serial_numbers: Annotated[list[str], note("The serial numbers that were taken.")]
    shipments: Annotated[
        list[ItemShipmentV3],
        note("The shipments in `data.shipments` that took it; empty where that is not known."),
    ]
    channel_line_id: Annotated[
        str | None, note("The id of the line in the sales channel of the order.")
    ]


class ItemsDataV3(Part, frozen=True, kw_only=True):
    """
    The items that changed.
    """

    order: Annotated[OrderSummaryV3, note("The order that they belong to.")]
    item_status: Annotated[ItemStatusText, note("What the items are now.")]
    complete: Annotated[
        bool | None, note("Whether no item of the order remains in another status.")
    ]
    items: Annotated[list[ItemV3], note("The items that changed.")]
    shipments: Annotated[
        list[ShipmentV3], note("The shipments that took them; empty for pending items.")
    ]


class ItemsBodyV3(Envelope, frozen=True, kw_only=True):
    """
    Items of an order that were shipped or became pending.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    sequence: Sequence
    data: Annotated[ItemsDataV3, note("The items that changed.")]

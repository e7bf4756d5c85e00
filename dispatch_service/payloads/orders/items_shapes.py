"""
Shapes of the bodies of `orders/shipped_items` and `orders/pending_items`.
"""

from typing import Annotated

from dispatch_service.payloads.core.enum_strings import (
    FulfillmentText,
    ItemStatusText,
    OrderStatusText,
)
from dispatch_service.payloads.core.envelope import Envelope, Sequence
from dispatch_service.payloads.core.field_types import (
    Body,
    CalendarDate,
    Instant,
    Part,
    PlainTime,
    Quantity,
    ResourceId,
    note,
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


class ShippedItemsV2(Body, frozen=True, kw_only=True):
    """
    Items of an order that were shipped.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    order_reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    shipped_date: Annotated[PlainTime, note("When the items left, in UTC.")]
    tracking_number: Annotated[str | None, note("The tracking number of the shipment.")]
    carrier: Annotated[str | None, note("The carrier of the shipment.")]
    shipping_method: Annotated[
        str | None, note("The method of the shipment, else the one that was asked for.")
    ]
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


class ItemsOrderV3(Part, frozen=True, kw_only=True):
    """
    The order that the items belong to.
    """

    id: Annotated[ResourceId, note("The id of the order.")]
    number: Annotated[str | None, note("The number of the order.")]
    reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    fulfillment_type: Annotated[FulfillmentText | None, note("Who fulfils it.")]


class PendingOrderV3(ItemsOrderV3, frozen=True, kw_only=True):
    """
    The order that the pending items belong to.
    """

    shipping_method: Annotated[str | None, note("The method that was asked for.")]


class ItemsShipmentV3(Part, frozen=True, kw_only=True):
    """
    The shipment that took the items.
    """

    id: Annotated[str | None, note("The id of the shipment.")]
    shipped_at: Annotated[Instant | None, note("When it left.")]
    carrier: Annotated[str | None, note("The carrier.")]
    shipping_method: Annotated[str | None, note("The shipping method that was used.")]
    tracking_number: Annotated[str | None, note("The tracking number.")]
    tracking_url: Annotated[str | None, note("Where it can be followed.")]


class ShippedItemsDataV3(Part, frozen=True, kw_only=True):
    """
    The items that were shipped.
    """

    order: Annotated[ItemsOrderV3, note("The order that they belong to.")]
    item_status: Annotated[ItemStatusText, note("What the items are now.")]
    complete: Annotated[bool | None, note("Whether no item of the order remains to be shipped.")]
    items: Annotated[list[ItemV3], note("The items that were shipped.")]
    shipment: Annotated[ItemsShipmentV3 | None, note("The shipment that took them.")]


class PendingItemsDataV3(Part, frozen=True, kw_only=True):
    """
    The items that became pending.
    """

    order: Annotated[PendingOrderV3, note("The order that they belong to.")]
    item_status: Annotated[ItemStatusText, note("What the items are now.")]
    complete: Annotated[
        bool | None, note("Whether no item of the order remains in another status.")
    ]
    items: Annotated[list[ItemV3], note("The items that became pending.")]
    shipment: Annotated[None, note("Always null: the items have not left.")]


class ShippedItemsBodyV3(Envelope, frozen=True, kw_only=True):
    """
    Items of an order that were shipped.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    sequence: Sequence
    data: Annotated[ShippedItemsDataV3, note("The items that were shipped.")]


class PendingItemsBodyV3(Envelope, frozen=True, kw_only=True):
    """
    Items of an order that became pending.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    sequence: Sequence
    data: Annotated[PendingItemsDataV3, note("The items that became pending.")]

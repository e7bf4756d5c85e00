"""
Shapes of version 3 of the payloads about a whole order.
"""

from typing import Annotated

from dispatch_service.payloads.core.enum_strings import FulfillmentText, OrderStatusText
from dispatch_service.payloads.core.envelope import Envelope, Sequence
from dispatch_service.payloads.core.field_types import (
    CalendarDate,
    Instant,
    Part,
    Quantity,
    ResourceId,
    note,
)
from dispatch_service.payloads.core.money import Price


class StoreV3(Part, frozen=True, kw_only=True):
    """
    The store that the order came from.
    """

    id: Annotated[ResourceId | None, note("The id of the store.")]
    name: Annotated[str | None, note("The name of the store.")]
    channel: Annotated[str | None, note("The sales channel of the order.")]


class CustomerV3(Part, frozen=True, kw_only=True):
    """
    Who bought it.
    """

    name: Annotated[str | None, note("The full name.")]
    email: Annotated[str | None, note("The e-mail address.")]
    phone: Annotated[str | None, note("The telephone number.")]


class AddressV3(Part, frozen=True, kw_only=True):
    """
    Where the order goes.
    """

    name: Annotated[str | None, note("The name of the recipient.")]
    company: Annotated[str | None, note("The company.")]
    address1: Annotated[str | None, note("Street and number.")]
    address2: Annotated[str | None, note("Floor, unit or the like.")]
    city: Annotated[str | None, note("The city.")]
    state: Annotated[str | None, note("The state or province.")]
    zip: Annotated[str | None, note("The postal code.")]
    country: Annotated[str | None, note("The country, by custom ISO 3166-1 alpha-3.")]


class ItemV3(Part, frozen=True, kw_only=True):
    """
    A line of the order.
    """

    line_id: Annotated[str | None, note("The id of the line within the order.")]
    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity: Annotated[Quantity, note("How many were ordered.")]
    quantity_shipped: Annotated[Quantity | None, note("How many have been shipped.")]
    unit_price: Annotated[
        Price | None, note("The price of one; it may have up to 6 digits after the point.")
    ]
    lot: Annotated[str | None, note("The lot that was taken.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]
    serial_numbers: Annotated[list[str], note("The serial numbers that were taken.")]
    channel_line_id: Annotated[
        str | None, note("The id of the line in the sales channel of the order.")
    ]


class WeightV3(Part, frozen=True, kw_only=True):
    """
    The weight of a package.
    """

    value: Annotated[str | None, note("The number, a decimal with the digits it was given with.")]
    unit: Annotated[str | None, note("The unit, for example `lb`.")]


class DimensionsV3(Part, frozen=True, kw_only=True):
    """
    The outer dimensions of a package.
    """

    length: Annotated[str | None, note("The length, a decimal.")]
    width: Annotated[str | None, note("The width, a decimal.")]
    height: Annotated[str | None, note("The height, a decimal.")]
    unit: Annotated[str | None, note("The unit, for example `in`.")]


class PackageItemV3(Part, frozen=True, kw_only=True):
    """
    What a package holds of a line.
    """

    line_id: Annotated[str | None, note("The line of the order.")]
    sku: Annotated[str | None, note("The SKU.")]
    quantity: Annotated[Quantity | None, note("How many are in the package.")]
    lot: Annotated[str | None, note("The lot.")]
    serial_numbers: Annotated[list[str], note("The serial numbers.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]


class PackageV3(Part, frozen=True, kw_only=True):
    """
    A package of a shipment.
    """

    number: Annotated[int | None, note("Counted from 1 within the shipment.")]
    tracking_number: Annotated[str | None, note("The tracking number of this package.")]
    weight: Annotated[WeightV3 | None, note("The weight.")]
    dimensions: Annotated[DimensionsV3 | None, note("The outer dimensions.")]
    items: Annotated[list[PackageItemV3], note("What is in it.")]


class ShipmentV3(Part, frozen=True, kw_only=True):
    """
    A shipment of the order.
    """

    id: Annotated[str | None, note("The id of the shipment.")]
    shipped_at: Annotated[Instant | None, note("When it left.")]
    warehouse: Annotated[str | None, note("The warehouse that it left.")]
    carrier: Annotated[str | None, note("The carrier.")]
    shipping_method: Annotated[str | None, note("The shipping method that was used.")]
    tracking_number: Annotated[str | None, note("The tracking number.")]
    tracking_url: Annotated[str | None, note("Where it can be followed.")]
    cost: Annotated[Price | None, note("What it cost.")]
    packages: Annotated[list[PackageV3], note("The packages.")]


class TotalsV3(Part, frozen=True, kw_only=True):
    """
    What the order costs.
    """

    subtotal: Annotated[Price | None, note("The goods: what version 2 calls `total`.")]
    shipping: Annotated[Price | None, note("The shipping: `shipping_cost` of version 2.")]
    tax: Annotated[Price | None, note("The tax.")]
    discount: Annotated[Price | None, note("The discount; it may be negative.")]
    total: Annotated[Price | None, note("What is to be paid. Version 2 does not show it.")]


class OrderV3(Part, frozen=True, kw_only=True):
    """
    An order as it is after the event.
    """

    id: Annotated[ResourceId, note("The id of the order.")]
    number: Annotated[str | None, note("The number of the order.")]
    reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    type: Annotated[str | None, note("The order type, for example `retail`.")]
    store: Annotated[StoreV3 | None, note("The store that it came from.")]
    status: Annotated[OrderStatusText | None, note("The status after the event.")]
    fulfillment_type: Annotated[FulfillmentText | None, note("Who fulfils it.")]
    created_at: Annotated[Instant | None, note("When it was created.")]
    updated_at: Annotated[Instant | None, note("When it was last changed.")]
    customer: Annotated[CustomerV3, note("Who bought it.")]
    shipping_address: Annotated[AddressV3, note("Where it goes.")]
    items: Annotated[list[ItemV3], note("Its lines.")]
    shipments: Annotated[list[ShipmentV3], note("How it was shipped; empty before.")]
    totals: Annotated[TotalsV3, note("What it costs, all in one currency.")]
    shipping_method: Annotated[
        str | None, note("The method that was asked for; a shipment names the one that was used.")
    ]
    carrier: Annotated[
        str | None, note("The carrier that was asked for; a shipment names the one that was used.")
    ]
    channel: Annotated[str | None, note("The sales channel that it came from.")]
    channel_order_id: Annotated[str | None, note("The id of the order in that channel.")]


class OrderReferenceV3(Part, frozen=True, kw_only=True):
    """
    Another order.
    """

    id: Annotated[ResourceId | None, note("The id of the order.")]
    number: Annotated[str | None, note("The number of the order.")]
    reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    fulfillment_type: Annotated[FulfillmentText | None, note("Who fulfils it.")]


class ChangeV3(Part, frozen=True, kw_only=True):
    """
    What happened to the order: null where it does not apply.
    """

    previous_status: Annotated[OrderStatusText | None, note("The status before.")]
    cancel_reason: Annotated[str | None, note("Why it was canceled.")]
    divided_orders: Annotated[
        list[OrderReferenceV3] | None, note("The orders that it was divided into.")
    ]
    updated_fields: Annotated[list[str] | None, note("The names of the fields that changed.")]
    sent_to: Annotated[FulfillmentText | None, note("Whom it was sent to.")]
    external_reference: Annotated[str | None, note("The number that it has there.")]
    user: Annotated[str | None, note("Who did it.")]


class OrderDataV3(Part, frozen=True, kw_only=True):
    """
    The order and what happened to it.
    """

    order: Annotated[OrderV3, note("The order after the event.")]
    change: Annotated[ChangeV3, note("What happened to it.")]


class OrderBodyV3(Envelope, frozen=True, kw_only=True):
    """
    An order.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    sequence: Sequence
    data: Annotated[OrderDataV3, note("The order and what happened to it.")]

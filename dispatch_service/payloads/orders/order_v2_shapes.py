"""
Shapes of version 2 of the payloads about a whole order.
"""

from typing import Annotated

from dispatch_service.payloads.core.enum_strings import FulfillmentText, OrderStatusText
from dispatch_service.payloads.core.field_types import (
    Amount,
    Body,
    Part,
    PlainTime,
    Quantity,
    ResourceId,
    note,
)
from dispatch_service.payloads.orders.several_shipments import (
    FIRST_CARRIER,
    FIRST_METHOD,
    FIRST_TRACKING_NUMBER,
)


class AddressV2(Part, frozen=True, kw_only=True):
    """
    Where the order goes.
    """

    address1: Annotated[str | None, note("Street and number.")]
    city: Annotated[str | None, note("The city.")]
    state: Annotated[str | None, note("The state or province.")]
    zip: Annotated[str | None, note("The postal code.")]
    country: Annotated[str | None, note("The country, by custom ISO 3166-1 alpha-3.")]


class CustomerV2(Part, frozen=True, kw_only=True):
    """
    Who bought it, and where it goes.
    """

    email: Annotated[str | None, note("The e-mail address.")]
    name: Annotated[str | None, note("The full name.")]
    address: Annotated[AddressV2, note("Where the order goes.")]


class ItemV2(Part, frozen=True, kw_only=True):
    """
    A line of the order.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[Quantity, note("How many were ordered.")]
    description: Annotated[str | None, note("What it is.")]


class OrderV2(Body, frozen=True, kw_only=True):
    """
    An order.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    order_reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order after the event.")]
    shipped_date: Annotated[
        PlainTime | None,
        note("When the first shipment left, in UTC; null before the order is shipped."),
    ]
    tracking_number: Annotated[str | None, note(FIRST_TRACKING_NUMBER)]
    carrier: Annotated[str | None, note(FIRST_CARRIER)]
    shipping_method: Annotated[str | None, note(FIRST_METHOD)]
    customer: Annotated[CustomerV2, note("Who bought it, and where it goes.")]
    items: Annotated[list[ItemV2], note("The lines of the order.")]
    total: Annotated[
        Amount | None, note("What the goods cost, shipping and tax apart: the subtotal.")
    ]
    shipping_cost: Annotated[Amount | None, note("What the customer pays for the shipping.")]


class OrderDatedV2(OrderV2, frozen=True, kw_only=True):
    """
    An order whose status changed.
    """

    status_date: Annotated[PlainTime, note("When the status changed, in UTC.")]


class OrderStatusChangedV2(OrderV2, frozen=True, kw_only=True):
    """
    An order whose status changed, with the status before.
    """

    previous_status: Annotated[
        OrderStatusText | None, note("The status before; null for a new order.")
    ]
    status_date: Annotated[PlainTime, note("When the status changed, in UTC.")]


class OrderCanceledV2(OrderV2, frozen=True, kw_only=True):
    """
    An order that was canceled.
    """

    canceled_date: Annotated[PlainTime, note("When it was canceled, in UTC.")]
    cancel_reason: Annotated[str | None, note("Why it was canceled.")]


class DividedOrderV2(Part, frozen=True, kw_only=True):
    """
    One of the orders that an order was divided into.
    """

    order_id: Annotated[ResourceId | None, note("The id of the new order.")]
    order_number: Annotated[str | None, note("The number of the new order.")]


class OrderDividedV2(OrderV2, frozen=True, kw_only=True):
    """
    An order that was divided into several.
    """

    divided_date: Annotated[PlainTime, note("When it was divided, in UTC.")]
    divided_orders: Annotated[list[DividedOrderV2], note("The orders that it was divided into.")]


class OrderUpdatedV2(OrderV2, frozen=True, kw_only=True):
    """
    An order that was edited.
    """

    updated_date: Annotated[PlainTime, note("When it was edited, in UTC.")]
    updated_fields: Annotated[list[str], note("The names of the fields that changed.")]
    user: Annotated[str | None, note("Who edited it.")]


class OrderSentV2(OrderV2, frozen=True, kw_only=True):
    """
    An order that was handed to whoever fulfils it.
    """

    sent_date: Annotated[PlainTime, note("When it was sent, in UTC.")]
    sent_to: Annotated[FulfillmentText | None, note("Whom it was sent to.")]

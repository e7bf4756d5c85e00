"""
Version 3 of an order in bodies that are about something of it: its items, a refund.
"""

from typing import Annotated

from dispatch_service.payloads.core.enum_strings import (
    FULFILLMENT_TYPES,
    FulfillmentText,
    OrderStatusText,
    enum_string,
)
from dispatch_service.payloads.core.field_types import Part, ResourceId, note
from dispatch_service.payloads.orders.order_v3_builders import customer_of
from dispatch_service.payloads.orders.order_v3_shapes import CustomerV3
from shipedge.webhooks.events.v1.order_pb2 import Order


class OrderSummaryV3(Part, frozen=True, kw_only=True):
    """
    The order, in short.
    """

    id: Annotated[ResourceId, note("The id of the order.")]
    number: Annotated[str | None, note("The number of the order.")]
    reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    fulfillment_type: Annotated[FulfillmentText | None, note("Who fulfils it.")]
    customer: Annotated[CustomerV3, note("Who bought it.")]
    shipping_method: Annotated[
        str | None, note("The method that was asked for; a shipment names the one that was used.")
    ]
    carrier: Annotated[
        str | None, note("The carrier that was asked for; a shipment names the one that was used.")
    ]
    channel: Annotated[str | None, note("The sales channel that it came from.")]
    channel_order_id: Annotated[str | None, note("The id of the order in that channel.")]


def summary_of(order: Order, status: str | None) -> OrderSummaryV3:
    """
    Build the summary of *order*, whose status is *status*.
    """
    return OrderSummaryV3(
        id=order.id,
        number=order.number or None,
        reference=order.reference or None,
        status=status,
        fulfillment_type=enum_string(
            FULFILLMENT_TYPES, order.fulfillment_type, order.fulfillment_label
        ),
        customer=customer_of(order.customer),
        shipping_method=order.shipping_method or None,
        carrier=order.carrier or None,
        channel=order.channel or None,
        channel_order_id=order.channel_order_id or None,
    )

"""
Version 2 of the order family: the 14 keys of the published example, and after
them what an event type adds.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    OrderSentToFulfillment,
    OrderStatusChanged,
    OrderUpdated,
)
from shipedge.webhooks.events.v1.order_pb2 import Order

from .fields import Amount, Body, Part, PlainTime, Quantity, ResourceId, note
from .money import optional_amount
from .offers import Builder, Key
from .orders import (
    CANCELED,
    DATED,
    SENT,
    SHIPPED,
    OrderChange,
    first_shipment,
    shipped_date,
    status_after,
    tracking,
)
from .states import FULFILLMENT_TYPES, ORDER_STATUSES, FulfillmentText, OrderStatusText, shown
from .values import plain_time

B = TypeVar("B", bound="OrderV2")


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
    tracking_number: Annotated[str | None, note("The tracking number of the first shipment.")]
    carrier: Annotated[str | None, note("The carrier of the first shipment.")]
    shipping_method: Annotated[
        str | None, note("The method of the first shipment, else the one that was asked for.")
    ]
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


def _customer(order: Order) -> CustomerV2:
    customer, address = order.customer, order.shipping_address
    return CustomerV2(
        email=customer.email or None,
        name=customer.name or None,
        address=AddressV2(
            address1=address.address1 or None,
            city=address.city or None,
            state=address.state or None,
            zip=address.zip or None,
            country=address.country or None,
        ),
    )


def _items(order: Order) -> list[ItemV2]:
    return [
        ItemV2(sku=item.sku, quantity=item.quantity, description=item.description or None)
        for item in order.items
    ]


def _build(
    shape: Callable[..., B], event: Event, change: OrderChange, wire_name: str, **extra: Any
) -> B:
    """
    Build a *shape* from its 14 common keys and the *extra* ones.
    """
    order = change.order
    totals = order.totals
    shipment = first_shipment(order)
    number, carrier, method = tracking(order, shipment)
    return shape(
        event=wire_name,
        account_id=event.account_id,
        order_id=order.id,
        order_number=order.number or None,
        order_reference=order.reference or None,
        status=status_after(change),
        shipped_date=shipped_date(event, change, shipment),
        tracking_number=number,
        carrier=carrier,
        shipping_method=method,
        customer=_customer(order),
        items=_items(order),
        total=optional_amount(totals, "subtotal"),
        shipping_cost=optional_amount(totals, "shipping"),
        **extra,
    )


def shipped(event: Event, change: OrderStatusChanged, wire_name: str) -> OrderV2:
    """
    Build the body of the shipped family: the published example, no key more.
    """
    return _build(OrderV2, event, change, wire_name)


def dated(event: Event, change: OrderStatusChanged, wire_name: str) -> OrderDatedV2:
    """
    Build the body of an order that is pending, processing or backordered.
    """
    moment = plain_time(event.occurred_at)
    return _build(OrderDatedV2, event, change, wire_name, status_date=moment)


def status_changed(
    event: Event, change: OrderStatusChanged, wire_name: str
) -> OrderStatusChangedV2:
    """
    Build the body of `orders/any_status_change`.
    """
    return _build(
        OrderStatusChangedV2,
        event,
        change,
        wire_name,
        previous_status=shown(ORDER_STATUSES, change.from_status, change.from_label),
        status_date=plain_time(event.occurred_at),
    )


def canceled(event: Event, change: OrderStatusChanged, wire_name: str) -> OrderCanceledV2:
    """
    Build the body of an order that was canceled.
    """
    return _build(
        OrderCanceledV2,
        event,
        change,
        wire_name,
        canceled_date=plain_time(event.occurred_at),
        cancel_reason=change.cancel_reason or None,
    )


def divided(event: Event, change: OrderStatusChanged, wire_name: str) -> OrderDividedV2:
    """
    Build the body of `orders/divided`.
    """
    children = [
        DividedOrderV2(order_id=child.id or None, order_number=child.number or None)
        for child in change.child_orders
    ]
    moment = plain_time(event.occurred_at)
    return _build(
        OrderDividedV2, event, change, wire_name, divided_date=moment, divided_orders=children
    )


def updated(event: Event, change: OrderUpdated, wire_name: str) -> OrderUpdatedV2:
    """
    Build the body of `orders/updated_by_oms`.
    """
    return _build(
        OrderUpdatedV2,
        event,
        change,
        wire_name,
        updated_date=plain_time(event.occurred_at),
        updated_fields=list(change.changed_fields),
        user=event.actor.name or None,
    )


def sent(event: Event, change: OrderSentToFulfillment, wire_name: str) -> OrderSentV2:
    """
    Build the body of an order that was handed to whoever fulfils it.
    """
    return _build(
        OrderSentV2,
        event,
        change,
        wire_name,
        sent_date=plain_time(event.occurred_at),
        sent_to=shown(FULFILLMENT_TYPES, change.destination, change.destination_label),
    )


BUILDERS: dict[Key, Builder] = {
    ("orders/any_status_change", "v2"): status_changed,
    ("orders/divided", "v2"): divided,
    ("orders/updated_by_oms", "v2"): updated,
    **{(event_type, "v2"): shipped for event_type in SHIPPED},
    **{(event_type, "v2"): dated for event_type in DATED},
    **{(event_type, "v2"): canceled for event_type in CANCELED},
    **{(event_type, "v2"): sent for event_type in SENT},
}

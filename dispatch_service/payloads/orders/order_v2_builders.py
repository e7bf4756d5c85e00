"""
Builders of version 2 of the payloads about a whole order.

All bodies begin with the 14 keys of the published example; an event type may add keys.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import (
    FULFILLMENT_TYPES,
    enum_string,
)
from dispatch_service.payloads.core.money import optional_amount
from dispatch_service.payloads.core.times import plain_time
from dispatch_service.payloads.orders import order_v2_shapes as shapes
from dispatch_service.payloads.orders.event_types import CANCELED, DATED, SENT, SHIPPED
from dispatch_service.payloads.orders.values import (
    OrderChange,
    shipped_time,
    status_after,
    tracking,
)
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    OrderSentToFulfillment,
    OrderStatusChanged,
    OrderUpdated,
)
from shipedge.webhooks.events.v1.order_pb2 import Order
from shipedge.webhooks.order_statuses import ORDER_STATUSES

B = TypeVar("B", bound=shapes.OrderV2)


def _customer(order: Order) -> shapes.CustomerV2:
    customer, address = order.customer, order.shipping_address
    return shapes.CustomerV2(
        email=customer.email or None,
        name=customer.name or None,
        address=shapes.AddressV2(
            address1=address.address1 or None,
            city=address.city or None,
            state=address.state or None,
            zip=address.zip or None,
            country=address.country or None,
        ),
    )


def _items(order: Order) -> list[shapes.ItemV2]:
    return [
        shapes.ItemV2(sku=item.sku, quantity=item.quantity, description=item.description or None)
        for item in order.items
    ]


def _build(
    shape: Callable[..., B], event: Event, change: OrderChange, topic: str, **extra: Any
) -> B:
    """
    Build *shape* from the 14 common keys and *extra*.
    """
    order = change.order
    totals = order.totals
    shipments = order.shipments[:]
    number, carrier, method = tracking(order, shipments)
    shipped_at = shipped_time(event, change, shipments)
    return shape(
        event=topic,
        account_id=event.account_id,
        order_id=order.id,
        order_number=order.number or None,
        order_reference=order.reference or None,
        status=status_after(change),
        shipped_date=None if shipped_at is None else plain_time(shipped_at),
        tracking_number=number,
        carrier=carrier,
        shipping_method=method,
        customer=_customer(order),
        items=_items(order),
        total=optional_amount(totals, "subtotal"),
        shipping_cost=optional_amount(totals, "shipping"),
        **extra,
    )


def shipped(event: Event, change: OrderStatusChanged, topic: str) -> shapes.OrderV2:
    """
    Build the 14 keys of the published example and no others.
    """
    return _build(shapes.OrderV2, event, change, topic)


def dated(event: Event, change: OrderStatusChanged, topic: str) -> shapes.OrderDatedV2:
    """
    Build the body of an order that is pending, processing or backordered.
    """
    moment = plain_time(event.occurred_at)
    return _build(shapes.OrderDatedV2, event, change, topic, status_date=moment)


def status_changed(
    event: Event, change: OrderStatusChanged, topic: str
) -> shapes.OrderStatusChangedV2:
    """
    Build the body of `orders/any_status_change`.
    """
    return _build(
        shapes.OrderStatusChangedV2,
        event,
        change,
        topic,
        previous_status=enum_string(ORDER_STATUSES, change.from_status, change.from_label),
        status_date=plain_time(event.occurred_at),
    )


def canceled(event: Event, change: OrderStatusChanged, topic: str) -> shapes.OrderCanceledV2:
    return _build(
        shapes.OrderCanceledV2,
        event,
        change,
        topic,
        canceled_date=plain_time(event.occurred_at),
        cancel_reason=change.cancel_reason or None,
    )


def divided(event: Event, change: OrderStatusChanged, topic: str) -> shapes.OrderDividedV2:
    children = [
        shapes.DividedOrderV2(order_id=child.id or None, order_number=child.number or None)
        for child in change.child_orders
    ]
    moment = plain_time(event.occurred_at)
    return _build(
        shapes.OrderDividedV2,
        event,
        change,
        topic,
        divided_date=moment,
        divided_orders=children,
    )


def updated(event: Event, change: OrderUpdated, topic: str) -> shapes.OrderUpdatedV2:
    """
    Build the body of `orders/updated_by_oms`.
    """
    return _build(
        shapes.OrderUpdatedV2,
        event,
        change,
        topic,
        updated_date=plain_time(event.occurred_at),
        updated_fields=list(change.changed_fields),
        user=event.actor.name or None,
    )


def sent(event: Event, change: OrderSentToFulfillment, topic: str) -> shapes.OrderSentV2:
    """
    Build the body of an order that was sent to fulfilment.
    """
    return _build(
        shapes.OrderSentV2,
        event,
        change,
        topic,
        sent_date=plain_time(event.occurred_at),
        sent_to=enum_string(FULFILLMENT_TYPES, change.destination, change.destination_label),
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

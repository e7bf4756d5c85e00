"""
What the payload versions of the order family have in common: which event
types share a shape, and the values that versions 1 and 2 pick from an order.
"""

from typing import NamedTuple, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads.core.enum_strings import ORDER_STATUSES, shown
from dispatch_service.payloads.core.times import plain_time
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    OrderItemsStatusChanged,
    OrderSentToFulfillment,
    OrderStatusChanged,
    OrderUpdated,
)
from shipedge.webhooks.events.v1.order_pb2 import Order, Shipment
from shipedge.webhooks.events.v1.states_pb2 import ORDER_STATUS_SHIPPED

OrderChange: TypeAlias = OrderStatusChanged | OrderUpdated | OrderSentToFulfillment


class Tracking(NamedTuple):
    """
    The scalars that versions 1 and 2 show of the first shipment.
    """

    number: str | None
    carrier: str | None
    method: str | None


def first_shipment(order: Order) -> Shipment | None:
    """
    Pick the shipment that versions 1 and 2 show.
    """
    shipments = order.shipments
    return shipments[0] if shipments else None


def shown_shipping_method(order: Order, shipment: Shipment | None) -> str | None:
    """
    Choose the method that *shipment* used, else the one that was asked for.

    Filters on shipping methods compare with it too.
    """
    used = shipment.shipping_method if shipment is not None else ""
    return used or order.shipping_method or None


def tracking(order: Order, shipment: Shipment | None) -> Tracking:
    """
    Choose what versions 1 and 2 show of *shipment*: nulls where there is none.
    """
    method = shown_shipping_method(order, shipment)
    if shipment is None:
        return Tracking(None, None, method)
    return Tracking(shipment.tracking_number or None, shipment.carrier or None, method)


def status_of(order: Order) -> str | None:
    """
    Write the status that the order has.
    """
    return shown(ORDER_STATUSES, order.status, order.status_label)


def status_after(change: OrderChange | OrderItemsStatusChanged) -> str | None:
    """
    Write the status that the order has after *change*.

    That of a status change is what it changed to, since the order in it may
    leave its own out.
    """
    if isinstance(change, OrderStatusChanged):
        return shown(ORDER_STATUSES, change.to_status, change.to_label)
    return status_of(change.order)


def shipped_time(event: Event, change: OrderChange, shipment: Shipment | None) -> Timestamp | None:
    """
    Choose when the order was shipped; null as long as it was not.

    An order that becomes shipped without a shipment, or with one that does
    not say when it left, was shipped when the event happened: services that
    fulfil for us do not always tell more.
    """
    if shipment is not None and shipment.HasField("shipped_at"):
        return shipment.shipped_at
    if isinstance(change, OrderStatusChanged) and change.to_status == ORDER_STATUS_SHIPPED:
        return event.occurred_at
    return None


def shipped_date(event: Event, change: OrderChange, shipment: Shipment | None) -> str | None:
    """
    Write when the order was shipped as version 2 does.
    """
    moment = shipped_time(event, change, shipment)
    return None if moment is None else plain_time(moment)

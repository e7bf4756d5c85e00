"""
Values that several payload versions read from an order.
"""

from typing import NamedTuple, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads.core.enum_strings import ORDER_STATUSES, enum_string
from dispatch_service.payloads.core.times import is_set
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
    What versions 1 and 2 show of the first shipment.
    """

    number: str | None
    carrier: str | None
    method: str | None


def first_shipment(order: Order) -> Shipment | None:
    """
    Return the shipment that versions 1 and 2 show.
    """
    shipments = order.shipments
    return shipments[0] if shipments else None


def shown_shipping_method(order: Order, shipment: Shipment | None) -> str | None:
    """
    Return the shipping method of *shipment*, otherwise the requested one.

    Filters on shipping methods compare with it, too.
    """
    used = shipment.shipping_method if shipment is not None else ""
    return used or order.shipping_method or None


def tracking(order: Order, shipment: Shipment | None) -> Tracking:
    """
    Return what versions 1 and 2 show of *shipment*; None where it is missing.
    """
    method = shown_shipping_method(order, shipment)
    if shipment is None:
        return Tracking(None, None, method)
    return Tracking(shipment.tracking_number or None, shipment.carrier or None, method)


def status_of(order: Order) -> str | None:
    return enum_string(ORDER_STATUSES, order.status, order.status_label)


def status_after(change: OrderChange | OrderItemsStatusChanged) -> str | None:
    """
    Return the status of the order after *change*.

    For a status change this is its new status: the order in it may omit its own.
    """
    if isinstance(change, OrderStatusChanged):
        return enum_string(ORDER_STATUSES, change.to_status, change.to_label)
    return status_of(change.order)


def shipped_time(event: Event, change: OrderChange, shipment: Shipment | None) -> Timestamp | None:
    """
    Return when the order was shipped; None if it is not shipped.

    The time of the event stands in for a missing time of shipment when an order becomes shipped:
    some fulfilment services report no more.
    """
    if shipment is not None and is_set(shipment.shipped_at):
        return shipment.shipped_at
    if isinstance(change, OrderStatusChanged) and change.to_status == ORDER_STATUS_SHIPPED:
        return event.occurred_at
    return None

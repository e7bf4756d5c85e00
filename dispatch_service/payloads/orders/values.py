"""
Values that several payload versions read from an order.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads.core.enum_strings import enum_string
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
from shipedge.webhooks.order_statuses import ORDER_STATUSES

OrderChange: TypeAlias = OrderStatusChanged | OrderUpdated | OrderSentToFulfillment


class Tracking(NamedTuple):
    """
    What versions 1 and 2 show of the shipments: one value of each kind.
    """

    number: str | None
    carrier: str | None
    method: str | None


def tracking(order: Order, shipments: Sequence[Shipment]) -> Tracking:
    """
    Return what versions 1 and 2 show of *shipments*: of each kind the first that there is.

    The shipping method is the requested one if no shipment names one.
    """
    number = carrier = method = ""
    for shipment in shipments:
        number = number or shipment.tracking_number or _package_number(shipment)
        carrier = carrier or shipment.carrier
        method = method or shipment.shipping_method
    return Tracking(number or None, carrier or None, method or order.shipping_method or None)


def _package_number(shipment: Shipment) -> str:
    """
    Return the first tracking number of the packages of *shipment*; empty if they have none.
    """
    return next((it.tracking_number for it in shipment.packages if it.tracking_number), "")


def shipping_methods(order: Order) -> set[str]:
    """
    Return the shipping methods of all shipments of *order*, otherwise the requested one.

    Filters compare with them.
    """
    used = {shipment.shipping_method for shipment in order.shipments} - {""}
    return used or ({order.shipping_method} - {""})


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


def shipped_time(
    event: Event, change: OrderChange, shipments: Sequence[Shipment]
) -> Timestamp | None:
    """
    Return when the order was shipped; None if it is not shipped.

    The time of the event stands in for a missing time of shipment when an order becomes shipped:
    some fulfilment services report no more.
    """
    if (moment := first_time(shipments)) is not None:
        return moment
    if isinstance(change, OrderStatusChanged) and change.to_status == ORDER_STATUS_SHIPPED:
        return event.occurred_at
    return None


def first_time(shipments: Sequence[Shipment]) -> Timestamp | None:
    """
    Return the time of the first of *shipments* that has one.
    """
    for shipment in shipments:
        if is_set(shipment.shipped_at):
            return shipment.shipped_at
    return None

"""
Version 1 of the payloads about a whole order: nine keys, the same for every event type.
"""

from typing import Annotated

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import OrderStatusText
from dispatch_service.payloads.core.field_types import Body, PlainTime, ResourceId, note
from dispatch_service.payloads.core.times import plain_time
from dispatch_service.payloads.orders.event_types import SHIPPED, UNSHIPPED
from dispatch_service.payloads.orders.several_shipments import (
    FIRST_CARRIER,
    FIRST_METHOD,
    FIRST_TRACKING_NUMBER,
)
from dispatch_service.payloads.orders.values import (
    OrderChange,
    status_after,
    tracking,
)
from shipedge.webhooks.events.v1.event_pb2 import Event


class OrderV1(Body, frozen=True, kw_only=True):
    """
    An order, in short.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    status: Annotated[OrderStatusText | None, note("The status of the order after the event.")]
    date: Annotated[PlainTime, note("When the event happened, in UTC.")]
    tracking_number: Annotated[str | None, note(FIRST_TRACKING_NUMBER)]
    carrier: Annotated[str | None, note(FIRST_CARRIER)]
    shipping_method: Annotated[str | None, note(FIRST_METHOD)]


def order(event: Event, change: OrderChange, topic: str) -> OrderV1:
    snapshot = change.order
    number, carrier, method = tracking(snapshot, snapshot.shipments[:])
    return OrderV1(
        event=topic,
        account_id=event.account_id,
        order_id=snapshot.id,
        order_number=snapshot.number or None,
        status=status_after(change),
        date=plain_time(event.occurred_at),
        tracking_number=number,
        carrier=carrier,
        shipping_method=method,
    )


BUILDERS: dict[Key, Builder] = {(event_type, "v1"): order for event_type in (*SHIPPED, *UNSHIPPED)}

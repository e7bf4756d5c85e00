"""
Example events of `orders/*`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from dispatch_service.payloads.examples.parts import CREATED, at, dollars, order, shipment
from dispatch_service.payloads.orders.event_types import CANCELED, SENT, SHIPPED
from shipedge.webhooks.events.v1.event_pb2 import ACTOR_KIND_USER, Actor, Event
from shipedge.webhooks.events.v1.order_events_pb2 import (
    REFUND_TYPE_PARTIAL,
    RESTOCK_HURT,
    OrderRefunded,
    OrderSentToFulfillment,
    OrderStatusChanged,
    OrderUpdated,
    RefundItem,
)
from shipedge.webhooks.events.v1.order_pb2 import OrderReference
from shipedge.webhooks.events.v1.states_pb2 import (
    EVENT_SOURCE_OMS,
    EVENT_SOURCE_WMS,
    FULFILLMENT_TYPE_AMAZON_FBA,
    FULFILLMENT_TYPE_AMAZON_MCF,
    FULFILLMENT_TYPE_DROPSHIPPER,
    FULFILLMENT_TYPE_SHIPEDGE,
    FULFILLMENT_TYPE_WFS,
    ORDER_STATUS_BACKORDER,
    ORDER_STATUS_CANCELED,
    ORDER_STATUS_DIVIDED,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_PROCESSING,
    ORDER_STATUS_SHIPPED,
    ORDER_STATUS_UNSPECIFIED,
    FulfillmentType,
    OrderStatus,
)

_FULFILLED_BY: Final[Mapping[str, FulfillmentType.ValueType]] = {
    "orders/shipped_by_amazon_fba": FULFILLMENT_TYPE_AMAZON_FBA,
    "orders/shipped_by_amazon_mcf": FULFILLMENT_TYPE_AMAZON_MCF,
    "orders/shipped_by_dropshipper": FULFILLMENT_TYPE_DROPSHIPPER,
    "orders/shipped_by_wfs": FULFILLMENT_TYPE_WFS,
    "orders/dropship_cancel": FULFILLMENT_TYPE_DROPSHIPPER,
}


def _shipped(event_type: str) -> Event:
    moment = "2024-01-15T10:30:00Z"
    fulfilled_by = _FULFILLED_BY.get(event_type, FULFILLMENT_TYPE_SHIPEDGE)
    ours = fulfilled_by == FULFILLMENT_TYPE_SHIPEDGE
    shipped = order(ORDER_STATUS_SHIPPED, moment, fulfilled_by)
    shipped.items[0].quantity_shipped = 2
    shipped.shipments.append(shipment(moment, "wh1" if ours else ""))
    return Event(
        event_id="018d0c5e-7a40-7c3e-9f0a-3d2b6f1c9a11",
        account_id=100,
        warehouses=["wh1"] if ours else [],
        occurred_at=at(moment),
        sequence=7,
        source=EVENT_SOURCE_WMS if ours else EVENT_SOURCE_OMS,
        order_status_changed=OrderStatusChanged(
            order=shipped, from_status=ORDER_STATUS_PROCESSING, to_status=ORDER_STATUS_SHIPPED
        ),
    )


def _changed(
    event_id: str,
    moment: str,
    from_status: OrderStatus.ValueType,
    to_status: OrderStatus.ValueType,
    sequence: int,
) -> Event:
    return Event(
        event_id=event_id,
        account_id=100,
        occurred_at=at(moment),
        sequence=sequence,
        source=EVENT_SOURCE_OMS,
        order_status_changed=OrderStatusChanged(
            order=order(to_status, moment, FULFILLMENT_TYPE_SHIPEDGE),
            from_status=from_status,
            to_status=to_status,
        ),
    )


def _pending(_: str) -> Event:
    return _changed(
        "018d0923-64b8-7b52-8e07-4c1d9a60f2b3",
        CREATED,
        ORDER_STATUS_UNSPECIFIED,
        ORDER_STATUS_PENDING,
        1,
    )


def _backordered(_: str) -> Event:
    return _changed(
        "018d0c59-5e80-7f19-a3d5-70b8e2461cd9",
        "2024-01-15T09:00:00Z",
        ORDER_STATUS_PENDING,
        ORDER_STATUS_BACKORDER,
        3,
    )


def _processing(_: str) -> Event:
    event = _changed(
        "018d0c67-1a20-76aa-b8f4-15e3d07c92a6",
        "2024-01-15T09:15:00Z",
        ORDER_STATUS_PENDING,
        ORDER_STATUS_PROCESSING,
        5,
    )
    event.warehouses.append("wh1")
    return event


def _canceled(event_type: str) -> Event:
    event = _changed(
        "018d0c34-bf80-7d04-9c61-e82f5b3a07c4",
        "2024-01-15T08:20:00Z",
        ORDER_STATUS_PENDING,
        ORDER_STATUS_CANCELED,
        3,
    )
    change = event.order_status_changed
    change.cancel_reason = "Customer request"
    change.order.fulfillment_type = _FULFILLED_BY.get(event_type, FULFILLMENT_TYPE_SHIPEDGE)
    return event


def _divided(_: str) -> Event:
    event = _changed(
        "018d0c3d-e740-7e81-8fb2-09d6c4e71a35",
        "2024-01-15T08:30:00Z",
        ORDER_STATUS_PENDING,
        ORDER_STATUS_DIVIDED,
        3,
    )
    event.order_status_changed.child_orders.extend(
        [
            OrderReference(id=12346, number="ORD-001-1", reference="REF-123"),
            OrderReference(id=12347, number="ORD-001-2", reference="REF-123"),
        ]
    )
    return event


def _updated(_: str) -> Event:
    moment = "2024-01-14T18:40:00Z"
    return Event(
        event_id="018d0946-04c0-7a2d-b1c8-53f0e9726d14",
        account_id=100,
        occurred_at=at(moment),
        sequence=2,
        source=EVENT_SOURCE_OMS,
        actor=Actor(kind=ACTOR_KIND_USER, name="oms_user"),
        order_updated=OrderUpdated(
            order=order(ORDER_STATUS_PENDING, moment, FULFILLMENT_TYPE_SHIPEDGE),
            changed_fields=["shipping_address", "shipping_method"],
        ),
    )


_DESTINATIONS: Final[Mapping[str, tuple[FulfillmentType.ValueType, str]]] = {
    "orders/sent_by_amazon_fba": (FULFILLMENT_TYPE_AMAZON_FBA, "112-3456789-0123456"),
    "orders/sent_by_amazon_mcf": (FULFILLMENT_TYPE_AMAZON_MCF, "MCF-20240115-001"),
    "orders/sent_to_shipedge": (FULFILLMENT_TYPE_SHIPEDGE, "WMS-67890"),
}


def _sent(event_type: str) -> Event:
    moment = "2024-01-15T09:10:00Z"
    destination, reference = _DESTINATIONS[event_type]
    return Event(
        event_id="018d0c62-8640-7e49-82d7-a10c6b5f38e2",
        account_id=100,
        occurred_at=at(moment),
        sequence=4,
        source=EVENT_SOURCE_OMS,
        order_sent_to_fulfillment=OrderSentToFulfillment(
            order=order(ORDER_STATUS_PENDING, moment, destination),
            destination=destination,
            external_reference=reference,
        ),
    )


def _refunded(_: str) -> Event:
    moment = "2024-02-07T10:00:00Z"
    item = RefundItem(
        line_id="1",
        sku="PROD-001",
        description="Product Description",
        quantity=1,
        restock=RESTOCK_HURT,
        subtotal=dollars(2999),
        tax=dollars(0),
    )
    refund = OrderRefunded(
        order=order(ORDER_STATUS_SHIPPED, moment, FULFILLMENT_TYPE_SHIPEDGE),
        refund_id=901,
        type=REFUND_TYPE_PARTIAL,
        reason="Damaged item",
        return_id=555,
        rma_number="RMA-555",
        items=[item],
        shipping=dollars(0),
        tax=dollars(0),
        total=dollars(2999),
    )
    return Event(
        event_id="018d8230-4d10-7e5c-8f3b-92c7a0d41e55",
        account_id=100,
        occurred_at=at(moment),
        sequence=9,
        source=EVENT_SOURCE_OMS,
        actor=Actor(kind=ACTOR_KIND_USER, name="oms_user"),
        order_refunded=refund,
    )


# By event type: the function that makes its example. It is called with the event type.
EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    **dict.fromkeys(SHIPPED, _shipped),
    **dict.fromkeys(CANCELED, _canceled),
    **dict.fromkeys(SENT, _sent),
    "orders/any_status_change": _backordered,
    "orders/backorder": _backordered,
    "orders/divided": _divided,
    "orders/pending": _pending,
    "orders/pending_items": _pending,
    "orders/processing": _processing,
    "orders/refund": _refunded,
    "orders/shipped_items": _shipped,
    "orders/updated_by_oms": _updated,
}

"""
Example events of `returns/*`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from dispatch_service.payloads.examples.parts import at, customer
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_pb2 import Customer, OrderReference
from shipedge.webhooks.events.v1.return_order_pb2 import (
    RETURN_STATUS_AS_EXPECTED,
    RETURN_STATUS_DISCREPANCY,
    RETURN_STATUS_PENDING,
    RETURN_STATUS_PROCESSING,
    ExchangeItem,
    ExchangeOrder,
    ReturnInitiated,
    ReturnItem,
    ReturnLabel,
    ReturnOrder,
    ReturnReceived,
    ReturnStatus,
)
from shipedge.webhooks.events.v1.states_pb2 import (
    EVENT_SOURCE_OMS,
    EVENT_SOURCE_WMS,
    FULFILLMENT_TYPE_SHIPEDGE,
    ORDER_STATUS_HOLD,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_SHIPPED,
    RETURN_TYPE_EXCHANGE_NOW,
    RETURN_TYPE_EXCHANGE_ON_RECEIVED,
    RETURN_TYPE_SIMPLE,
    RETURN_TYPE_UNEXPECTED,
    OrderStatus,
    ReturnType,
)

_CREATED = "2024-02-01T09:00:00Z"
_RECEIVED = "2024-02-06T15:10:00Z"
_UNEXPECTED = "2024-02-06T15:30:00Z"


def _return_order(
    return_id: int, kind: ReturnType.ValueType, status: ReturnStatus.ValueType, item: ReturnItem
) -> ReturnOrder:
    return ReturnOrder(
        id=return_id,
        rma_number=f"RMA-{return_id}",
        type=kind,
        status=status,
        created_at=at(_CREATED),
        warehouse="wh1",
        items=[item],
        customer=customer(),
        original_order=OrderReference(
            id=12345,
            number="ORD-001",
            reference="REF-123",
            fulfillment_type=FULFILLMENT_TYPE_SHIPEDGE,
        ),
    )


def _item(expected: int, reason: str = "") -> ReturnItem:
    return ReturnItem(
        line_id="1",
        sku="PROD-001",
        description="Product Description",
        expected_good=expected,
        expected_hurt=0,
        received_good=0,
        received_hurt=0,
        reason=reason,
    )


def _exchange(status: OrderStatus.ValueType) -> ExchangeOrder:
    item = ExchangeItem(line_id="1", sku="PROD-002", description="Other size", quantity=1)
    return ExchangeOrder(id=12399, number="ORD-001_XCHG", status=status, items=[item])


def _initiated(event_id: str, return_order: ReturnOrder) -> Event:
    return Event(
        event_id=event_id,
        account_id=100,
        warehouses=["wh1"],
        occurred_at=at(_CREATED),
        sequence=1,
        source=EVENT_SOURCE_OMS,
        return_initiated=ReturnInitiated(return_order=return_order),
    )


def _received(event_id: str, return_order: ReturnOrder, moment: str, sequence: int) -> Event:
    return_order.received_at.CopyFrom(at(moment))
    return Event(
        event_id=event_id,
        account_id=100,
        warehouses=["wh1"],
        occurred_at=at(moment),
        sequence=sequence,
        source=EVENT_SOURCE_WMS,
        return_received=ReturnReceived(return_order=return_order),
    )


def _simple_initiated(_: str) -> Event:
    return_order = _return_order(555, RETURN_TYPE_SIMPLE, RETURN_STATUS_PENDING, _item(2))
    return _initiated("018d63e5-7a80-7b17-8e42-d0659ac3f1b8", return_order)


def _label() -> ReturnLabel:
    return ReturnLabel(carrier="UPS", tracking_number="1Z999AA10123456799", prepaid=True)


def _simple_received(_: str) -> Event:
    item = _item(2)
    item.received_good = item.received_hurt = 1
    item.bin = "BIN-001"
    return_order = _return_order(555, RETURN_TYPE_SIMPLE, RETURN_STATUS_DISCREPANCY, item)
    return_order.comments = "Any Comment"
    return_order.label.CopyFrom(_label())
    return _received("018d7e11-03c4-7a90-95b7-1f4e8d6620aa", return_order, _RECEIVED, 4)


def _unexpected_received(_: str) -> Event:
    item = _item(0)
    item.received_good = 1
    return_order = ReturnOrder(
        id=556,
        rma_number="RMA-556",
        type=RETURN_TYPE_UNEXPECTED,
        status=RETURN_STATUS_PROCESSING,
        created_at=at(_UNEXPECTED),
        warehouse="wh1",
        items=[item],
        customer=Customer(name="John Doe"),
    )
    return _received("018d7f0a-54c0-7c2e-9d58-a6710f4be239", return_order, _UNEXPECTED, 1)


def _exchange_now_initiated(_: str) -> Event:
    item = _item(1, "Wrong size")
    return_order = _return_order(557, RETURN_TYPE_EXCHANGE_NOW, RETURN_STATUS_PENDING, item)
    return_order.exchange_order.CopyFrom(_exchange(ORDER_STATUS_PENDING))
    return _initiated("018d63e5-7a80-7d5a-a916-3ec8b07f24d1", return_order)


def _exchange_on_received_initiated(_: str) -> Event:
    item = _item(1, "Wrong size")
    return_order = _return_order(557, RETURN_TYPE_EXCHANGE_ON_RECEIVED, RETURN_STATUS_PENDING, item)
    return_order.exchange_order.CopyFrom(_exchange(ORDER_STATUS_HOLD))
    return _initiated("018d63e5-7a80-79f3-b06d-8a51e2c94f70", return_order)


def _received_exchange(
    kind: ReturnType.ValueType, replacement: OrderStatus.ValueType
) -> ReturnOrder:
    item = _item(1, "Wrong size")
    item.received_good = 1
    item.bin = "BIN-001"
    return_order = _return_order(557, kind, RETURN_STATUS_AS_EXPECTED, item)
    return_order.label.CopyFrom(_label())
    return_order.exchange_order.CopyFrom(_exchange(replacement))
    return return_order


def _exchange_now_received(_: str) -> Event:
    return_order = _received_exchange(RETURN_TYPE_EXCHANGE_NOW, ORDER_STATUS_SHIPPED)
    return _received("018d7ef8-0540-7e84-8c0b-71f6d35a9e2c", return_order, _RECEIVED, 4)


def _exchange_on_received_received(_: str) -> Event:
    return_order = _received_exchange(RETURN_TYPE_EXCHANGE_ON_RECEIVED, ORDER_STATUS_PENDING)
    return_order.exchange_order.released_at.CopyFrom(at(_RECEIVED))
    return _received("018d7ef8-0540-7a3f-96e7-c4280bd15f63", return_order, _RECEIVED, 4)


# By event type: the function that makes its example. It is called with the event type.
EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    "returns/simple_initiated": _simple_initiated,
    "returns/simple_received": _simple_received,
    "returns/unexpected_received": _unexpected_received,
    "returns/exchange_now_initiated": _exchange_now_initiated,
    "returns/exchange_now_received": _exchange_now_received,
    "returns/exchange_on_received_initiated": _exchange_on_received_initiated,
    "returns/exchange_on_received_received": _exchange_on_received_received,
}

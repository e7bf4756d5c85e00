"""
Builders of `returns/*`: returns and exchanges.
"""

from typing import Any, TypeAlias

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import (
    RETURN_STATUSES,
    RETURN_TYPES,
    enum_string,
)
from dispatch_service.payloads.core.envelope import envelope
from dispatch_service.payloads.core.presence import optional_flag, optional_number
from dispatch_service.payloads.core.times import (
    instant,
    optional_date,
    optional_instant,
    optional_plain_time,
    plain_time,
)
from dispatch_service.payloads.orders.order_v3_builders import customer_of, reference_of
from dispatch_service.payloads.returns import shapes
from dispatch_service.payloads.returns.event_types import EXCHANGES, SIMPLE
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.return_order_pb2 import (
    ExchangeOrder,
    ReturnInitiated,
    ReturnItem,
    ReturnLabel,
    ReturnOrder,
    ReturnReceived,
)
from shipedge.webhooks.order_statuses import ORDER_STATUSES

ReturnChange: TypeAlias = ReturnInitiated | ReturnReceived


def _status(return_order: ReturnOrder) -> str | None:
    return enum_string(RETURN_STATUSES, return_order.status, return_order.status_label)


def _exchange_status(order: ExchangeOrder) -> str | None:
    return enum_string(ORDER_STATUSES, order.status, order.status_label)


def returned_v1(event: Event, change: ReturnChange, topic: str) -> shapes.ReturnV1:
    return_order = change.return_order
    return shapes.ReturnV1(
        event=topic,
        account_id=event.account_id,
        return_id=return_order.id,
        rma_number=return_order.rma_number or None,
        order_id=return_order.original_order.id or None,
        order_number=return_order.original_order.number or None,
        status=_status(return_order),
        date=plain_time(event.occurred_at),
    )


def exchanged_v1(event: Event, change: ReturnChange, topic: str) -> shapes.ExchangeV1:
    return_order = change.return_order
    return shapes.ExchangeV1(
        event=topic,
        account_id=event.account_id,
        return_id=return_order.id,
        rma_number=return_order.rma_number or None,
        order_id=return_order.original_order.id or None,
        order_number=return_order.original_order.number or None,
        exchange_order_id=return_order.exchange_order.id or None,
        exchange_order_number=return_order.exchange_order.number or None,
        status=_status(return_order),
        date=plain_time(event.occurred_at),
    )


def _sum(good: int | None, hurt: int | None) -> int | None:
    """
    Add what is known; None if nothing is.
    """
    return None if good is None and hurt is None else (good or 0) + (hurt or 0)


def _item_v2(item: ReturnItem) -> shapes.ReturnItemV2:
    """
    Build a line. Its quantity is the announced one, or the received one if none was announced.
    """
    expected_good = optional_number(item, "expected_good")
    expected_hurt = optional_number(item, "expected_hurt")
    received_good = optional_number(item, "received_good")
    received_hurt = optional_number(item, "received_hurt")
    expected, received = _sum(expected_good, expected_hurt), _sum(received_good, received_hurt)
    return shapes.ReturnItemV2(
        sku=item.sku,
        description=item.description or None,
        quantity=received if not expected and received is not None else expected,
        quantity_good_expected=expected_good,
        quantity_hurt_expected=expected_hurt,
        quantity_good=received_good,
        quantity_hurt=received_hurt,
        reason=item.reason or None,
    )


def _received_date(event: Event, change: ReturnChange) -> str | None:
    received = optional_plain_time(change.return_order, "received_at")
    if received is None and isinstance(change, ReturnReceived):
        return plain_time(event.occurred_at)
    return received


def _keys_v2(event: Event, change: ReturnChange, topic: str) -> dict[str, Any]:
    return_order = change.return_order
    order = return_order.original_order
    return {
        "event": topic,
        "account_id": event.account_id,
        "return_id": return_order.id,
        "rma_number": return_order.rma_number or None,
        "return_type": RETURN_TYPES.get(return_order.type),
        "order_id": order.id or None,
        "order_number": order.number or None,
        "order_reference": order.reference or None,
        "status": _status(return_order),
        "created_date": optional_plain_time(return_order, "created_at"),
        "received_date": _received_date(event, change),
        "tracking_number": return_order.label.tracking_number or None,
        "carrier": return_order.label.carrier or None,
        "comments": return_order.comments or None,
        "customer": shapes.ReturnCustomerV2(
            email=return_order.customer.email or None, name=return_order.customer.name or None
        ),
        "items": [_item_v2(item) for item in return_order.items],
    }


def _exchange_v2(order: ExchangeOrder) -> shapes.ExchangeOrderV2:
    return shapes.ExchangeOrderV2(
        order_id=order.id or None,
        order_number=order.number or None,
        status=_exchange_status(order),
        items=[
            shapes.ExchangeItemV2(
                sku=item.sku,
                quantity=optional_number(item, "quantity"),
                description=item.description or None,
            )
            for item in order.items
        ],
    )


def returned_v2(event: Event, change: ReturnChange, topic: str) -> shapes.ReturnV2:
    return shapes.ReturnV2(**_keys_v2(event, change, topic))


def exchanged_v2(event: Event, change: ReturnChange, topic: str) -> shapes.ExchangeV2:
    return_order = change.return_order
    known = return_order.HasField("exchange_order")
    return shapes.ExchangeV2(
        **_keys_v2(event, change, topic),
        exchange_order=_exchange_v2(return_order.exchange_order) if known else None,
    )


def _label(label: ReturnLabel) -> shapes.ReturnLabelV3:
    return shapes.ReturnLabelV3(
        carrier=label.carrier or None,
        tracking_number=label.tracking_number or None,
        prepaid=optional_flag(label, "prepaid"),
    )


def _item_v3(item: ReturnItem) -> shapes.ReturnItemV3:
    return shapes.ReturnItemV3(
        line_id=item.line_id or None,
        sku=item.sku,
        description=item.description or None,
        expected=shapes.CountV3(
            good=optional_number(item, "expected_good"), hurt=optional_number(item, "expected_hurt")
        ),
        received=shapes.CountV3(
            good=optional_number(item, "received_good"), hurt=optional_number(item, "received_hurt")
        ),
        reason=item.reason or None,
        bin=item.bin or None,
        lot=item.lot or None,
        serial_numbers=item.serial_numbers[:],
        expiration_date=optional_date(item, "expiration_date"),
    )


def _received_at(event: Event, change: ReturnChange) -> str | None:
    received = optional_instant(change.return_order, "received_at")
    if received is None and isinstance(change, ReturnReceived):
        return instant(event.occurred_at)
    return received


def _return(event: Event, change: ReturnChange) -> shapes.ReturnPartV3:
    return_order = change.return_order
    return shapes.ReturnPartV3(
        id=return_order.id,
        rma_number=return_order.rma_number or None,
        type=RETURN_TYPES.get(return_order.type),
        status=_status(return_order),
        created_at=optional_instant(return_order, "created_at"),
        received_at=_received_at(event, change),
        warehouse=return_order.warehouse or None,
        comments=return_order.comments or None,
        label=_label(return_order.label) if return_order.HasField("label") else None,
        items=[_item_v3(item) for item in return_order.items],
        customer=customer_of(return_order.customer),
    )


def _exchange_v3(order: ExchangeOrder) -> shapes.ExchangeOrderV3:
    return shapes.ExchangeOrderV3(
        id=order.id or None,
        number=order.number or None,
        status=_exchange_status(order),
        released_at=optional_instant(order, "released_at"),
        items=[
            shapes.ExchangeItemV3(
                line_id=item.line_id or None,
                sku=item.sku,
                description=item.description or None,
                quantity=optional_number(item, "quantity"),
            )
            for item in order.items
        ],
    )


def v3(event: Event, change: ReturnChange, topic: str) -> shapes.ReturnBodyV3:
    """
    Build the body of a return or an exchange.
    """
    return_order = change.return_order
    original, exchange = return_order.original_order, return_order.exchange_order
    contents = shapes.ReturnDataV3(
        return_order=_return(event, change),
        original_order=reference_of(original) if return_order.HasField("original_order") else None,
        exchange_order=_exchange_v3(exchange) if return_order.HasField("exchange_order") else None,
    )
    return shapes.ReturnBodyV3(
        **envelope(event, topic),
        order_id=original.id or None,
        return_id=return_order.id,
        data=contents,
    )


BUILDERS: dict[Key, Builder] = {
    **{(event_type, "v1"): returned_v1 for event_type in SIMPLE},
    **{(event_type, "v2"): returned_v2 for event_type in SIMPLE},
    **{(event_type, "v1"): exchanged_v1 for event_type in EXCHANGES},
    **{(event_type, "v2"): exchanged_v2 for event_type in EXCHANGES},
    **{(event_type, "v3"): v3 for event_type in (*SIMPLE, *EXCHANGES)},
}

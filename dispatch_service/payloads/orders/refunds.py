"""
Payloads of `orders/refund`.
"""

from typing import Annotated

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import (
    REFUND_TYPES,
    RESTOCKS,
    OrderStatusText,
    RefundTypeText,
    RestockText,
)
from dispatch_service.payloads.core.envelope import Envelope, Sequence, envelope
from dispatch_service.payloads.core.field_types import (
    Amount,
    Body,
    Part,
    PlainTime,
    Quantity,
    ResourceId,
    note,
)
from dispatch_service.payloads.core.money import (
    Price,
    amount,
    optional_amount,
    optional_price,
    price,
)
from dispatch_service.payloads.core.presence import optional_number
from dispatch_service.payloads.core.times import plain_time
from dispatch_service.payloads.orders.order_summary import OrderSummaryV3, summary_of
from dispatch_service.payloads.orders.values import status_of
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import OrderRefunded


class RefundV1(Body, frozen=True, kw_only=True):
    """
    A refund, in short.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    refund_id: Annotated[ResourceId, note("The id of the refund.")]
    amount: Annotated[Amount, note("All that was refunded.")]
    date: Annotated[PlainTime, note("When it was refunded, in UTC.")]


class RefundCustomerV2(Part, frozen=True, kw_only=True):
    """
    Who got the refund.
    """

    email: Annotated[str | None, note("The e-mail address.")]
    name: Annotated[str | None, note("The full name.")]


class RefundItemV2(Part, frozen=True, kw_only=True):
    """
    What was refunded of a line.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[Quantity | None, note("How many were refunded.")]
    description: Annotated[str | None, note("What it is.")]
    amount: Annotated[Amount | None, note("What was refunded for it, without tax.")]


class RefundV2(Body, frozen=True, kw_only=True):
    """
    A refund.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    order_reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    refund_id: Annotated[ResourceId, note("The id of the refund.")]
    refund_date: Annotated[PlainTime, note("When it was refunded, in UTC.")]
    refund_type: Annotated[RefundTypeText | None, note("Whether all of it was refunded.")]
    reason: Annotated[str | None, note("Why it was refunded.")]
    rma_number: Annotated[str | None, note("The RMA number of the return it belongs to.")]
    customer: Annotated[RefundCustomerV2, note("Who got the refund.")]
    items: Annotated[list[RefundItemV2], note("What was refunded.")]
    shipping_refund: Annotated[Amount | None, note("The shipping that was refunded.")]
    tax_refund: Annotated[Amount | None, note("The tax that was refunded.")]
    refund_total: Annotated[Amount, note("All that was refunded.")]
    user: Annotated[str | None, note("Who refunded it.")]
    currency: Annotated[str, note("The currency of all amounts, ISO 4217.")]


class RefundItemV3(Part, frozen=True, kw_only=True):
    """
    What was refunded of a line.
    """

    line_id: Annotated[str | None, note("The id of the line within the order.")]
    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity: Annotated[Quantity | None, note("How many were refunded.")]
    restock: Annotated[RestockText | None, note("What happened to the goods.")]
    subtotal: Annotated[Price | None, note("What was refunded for it, without tax.")]
    tax: Annotated[Price | None, note("The tax on it.")]


class RefundPartV3(Part, frozen=True, kw_only=True):
    """
    The refund.
    """

    id: Annotated[ResourceId, note("The id of the refund.")]
    type: Annotated[RefundTypeText | None, note("Whether all of it was refunded.")]
    reason: Annotated[str | None, note("Why it was refunded.")]
    return_id: Annotated[ResourceId | None, note("The return that it belongs to.")]
    rma_number: Annotated[str | None, note("The RMA number of that return.")]
    items: Annotated[list[RefundItemV3], note("What was refunded.")]
    shipping: Annotated[Price | None, note("The shipping that was refunded.")]
    total: Annotated[Price, note("All that was refunded.")]
    tax: Annotated[Price | None, note("The tax that was refunded.")]
    user: Annotated[str | None, note("Who refunded it.")]


class RefundDataV3(Part, frozen=True, kw_only=True):
    """
    The refund and its order.
    """

    refund: Annotated[RefundPartV3, note("The refund.")]
    order: Annotated[OrderSummaryV3, note("The order that was refunded.")]


class RefundBodyV3(Envelope, frozen=True, kw_only=True):
    """
    A refund.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    sequence: Sequence
    data: Annotated[RefundDataV3, note("The refund and its order.")]


def v1(event: Event, refund: OrderRefunded, topic: str) -> RefundV1:
    return RefundV1(
        event=topic,
        account_id=event.account_id,
        order_id=refund.order.id,
        order_number=refund.order.number or None,
        refund_id=refund.refund_id,
        amount=amount(refund.total),
        date=plain_time(event.occurred_at),
    )


def _items_v2(refund: OrderRefunded) -> list[RefundItemV2]:
    return [
        RefundItemV2(
            sku=item.sku,
            quantity=optional_number(item, "quantity"),
            description=item.description or None,
            amount=optional_amount(item, "subtotal"),
        )
        for item in refund.items
    ]


def v2(event: Event, refund: OrderRefunded, topic: str) -> RefundV2:
    order = refund.order
    customer = order.customer
    return RefundV2(
        event=topic,
        account_id=event.account_id,
        order_id=order.id,
        order_number=order.number or None,
        order_reference=order.reference or None,
        status=status_of(order),
        refund_id=refund.refund_id,
        refund_date=plain_time(event.occurred_at),
        refund_type=REFUND_TYPES.get(refund.type),
        reason=refund.reason or None,
        rma_number=refund.rma_number or None,
        customer=RefundCustomerV2(email=customer.email or None, name=customer.name or None),
        items=_items_v2(refund),
        shipping_refund=optional_amount(refund, "shipping"),
        tax_refund=optional_amount(refund, "tax"),
        refund_total=amount(refund.total),
        user=event.actor.name or None,
        currency=refund.total.currency_code,
    )


def _items_v3(refund: OrderRefunded) -> list[RefundItemV3]:
    return [
        RefundItemV3(
            line_id=item.line_id or None,
            sku=item.sku,
            description=item.description or None,
            quantity=optional_number(item, "quantity"),
            restock=RESTOCKS.get(item.restock),
            subtotal=optional_price(item, "subtotal"),
            tax=optional_price(item, "tax"),
        )
        for item in refund.items
    ]


def _refund(event: Event, refund: OrderRefunded) -> RefundPartV3:
    return RefundPartV3(
        id=refund.refund_id,
        type=REFUND_TYPES.get(refund.type),
        reason=refund.reason or None,
        return_id=refund.return_id or None,
        rma_number=refund.rma_number or None,
        items=_items_v3(refund),
        shipping=optional_price(refund, "shipping"),
        total=price(refund.total),
        tax=optional_price(refund, "tax"),
        user=event.actor.name or None,
    )


def v3(event: Event, refund: OrderRefunded, topic: str) -> RefundBodyV3:
    order = refund.order
    contents = RefundDataV3(
        refund=_refund(event, refund), order=summary_of(order, status_of(order))
    )
    keys = envelope(event, topic, order.channel)
    return RefundBodyV3(**keys, order_id=order.id, data=contents)


BUILDERS: dict[Key, Builder] = {
    ("orders/refund", "v1"): v1,
    ("orders/refund", "v2"): v2,
    ("orders/refund", "v3"): v3,
}

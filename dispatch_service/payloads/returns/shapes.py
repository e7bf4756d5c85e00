"""
Shapes of the bodies of `returns/*`.
"""

from typing import Annotated

from msgspec import field

from dispatch_service.payloads.core.enum_strings import (
    OrderStatusText,
    ReturnStatusText,
    ReturnTypeText,
)
from dispatch_service.payloads.core.envelope import Envelope, Sequence
from dispatch_service.payloads.core.field_types import (
    Body,
    CalendarDate,
    Instant,
    Part,
    PlainTime,
    Quantity,
    ResourceId,
    StockQuantity,
    note,
)
from dispatch_service.payloads.orders.order_v3_shapes import CustomerV3, OrderReferenceV3


class ReturnV1(Body, frozen=True, kw_only=True):
    """
    A return, in short.
    """

    return_id: Annotated[ResourceId, note("The id of the return.")]
    rma_number: Annotated[str | None, note("The RMA number.")]
    order_id: Annotated[ResourceId | None, note("The order it comes from; null if not known.")]
    order_number: Annotated[str | None, note("The number of that order.")]
    status: Annotated[ReturnStatusText | None, note("How far it is.")]
    date: Annotated[PlainTime, note("When the event happened, in UTC.")]


class ExchangeV1(Body, frozen=True, kw_only=True):
    """
    An exchange, in short.
    """

    return_id: Annotated[ResourceId, note("The id of the return.")]
    rma_number: Annotated[str | None, note("The RMA number.")]
    order_id: Annotated[ResourceId | None, note("The order it comes from; null if not known.")]
    order_number: Annotated[str | None, note("The number of that order.")]
    exchange_order_id: Annotated[ResourceId | None, note("The order that is sent instead.")]
    exchange_order_number: Annotated[str | None, note("The number of that order.")]
    status: Annotated[ReturnStatusText | None, note("How far it is.")]
    date: Annotated[PlainTime, note("When the event happened, in UTC.")]


class ReturnCustomerV2(Part, frozen=True, kw_only=True):
    """
    Who sends it back.
    """

    email: Annotated[str | None, note("The e-mail address.")]
    name: Annotated[str | None, note("The full name.")]


class ReturnItemV2(Part, frozen=True, kw_only=True):
    """
    A line of the return.
    """

    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity: Annotated[
        int | None, note("How many were announced or, where none were, how many came.")
    ]
    quantity_good_expected: Annotated[Quantity | None, note("How many were announced as good.")]
    quantity_hurt_expected: Annotated[Quantity | None, note("How many were announced as hurt.")]
    quantity_good: Annotated[
        StockQuantity | None, note("How many came good; negative if taken back.")
    ]
    quantity_hurt: Annotated[
        StockQuantity | None, note("How many came hurt; negative if taken back.")
    ]
    reason: Annotated[str | None, note("Why it comes back.")]


class ReturnV2(Body, frozen=True, kw_only=True):
    """
    A return.
    """

    return_id: Annotated[ResourceId, note("The id of the return.")]
    rma_number: Annotated[str | None, note("The RMA number.")]
    return_type: Annotated[ReturnTypeText | None, note("The kind of return.")]
    order_id: Annotated[ResourceId | None, note("The order it comes from; null if not known.")]
    order_number: Annotated[str | None, note("The number of that order.")]
    order_reference: Annotated[str | None, note("The reference of the customer or the channel.")]
    status: Annotated[
        ReturnStatusText | None, note("How far it is; once received, how it came out.")
    ]
    created_date: Annotated[PlainTime | None, note("When it was created, in UTC.")]
    received_date: Annotated[
        PlainTime | None, note("When the goods were received, in UTC; null before.")
    ]
    tracking_number: Annotated[str | None, note("The tracking number of the label.")]
    carrier: Annotated[str | None, note("The carrier of the label.")]
    comments: Annotated[str | None, note("Remarks.")]
    customer: Annotated[ReturnCustomerV2, note("Who sends it back.")]
    items: Annotated[list[ReturnItemV2], note("What comes back.")]


class ExchangeItemV2(Part, frozen=True, kw_only=True):
    """
    A line of the order that is sent instead.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[Quantity | None, note("How many are sent.")]
    description: Annotated[str | None, note("What it is.")]


class ExchangeOrderV2(Part, frozen=True, kw_only=True):
    """
    The order that is sent instead.
    """

    order_id: Annotated[ResourceId | None, note("The id of the order.")]
    order_number: Annotated[str | None, note("The number of the order.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    items: Annotated[list[ExchangeItemV2], note("What is sent.")]


class ExchangeV2(ReturnV2, frozen=True, kw_only=True):
    """
    An exchange.
    """

    exchange_order: Annotated[
        ExchangeOrderV2 | None, note("The order that is sent instead; null if not known.")
    ]


class ReturnLabelV3(Part, frozen=True, kw_only=True):
    """
    The label that the goods travel with.
    """

    carrier: Annotated[str | None, note("The carrier.")]
    tracking_number: Annotated[str | None, note("The tracking number.")]
    prepaid: Annotated[bool | None, note("Whether it is paid for.")]


class CountV3(Part, frozen=True, kw_only=True):
    """
    How many, by their condition.
    """

    good: Annotated[StockQuantity | None, note("How many that can be sold again.")]
    hurt: Annotated[StockQuantity | None, note("How many that cannot.")]


class ReturnItemV3(Part, frozen=True, kw_only=True):
    """
    A line of the return.
    """

    line_id: Annotated[str | None, note("The id of the line within the return.")]
    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    expected: Annotated[CountV3, note("What was announced.")]
    received: Annotated[CountV3, note("What came; negative if taken back.")]
    reason: Annotated[str | None, note("Why it comes back.")]
    bin: Annotated[str | None, note("The bin that it was put in.")]
    lot: Annotated[str | None, note("The lot.")]
    serial_numbers: Annotated[list[str], note("The serial numbers.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]


class ReturnPartV3(Part, frozen=True, kw_only=True):
    """
    The return.
    """

    id: Annotated[ResourceId, note("The id of the return.")]
    rma_number: Annotated[str | None, note("The RMA number.")]
    type: Annotated[ReturnTypeText | None, note("The kind of return.")]
    status: Annotated[
        ReturnStatusText | None, note("How far it is; once received, how it came out.")
    ]
    created_at: Annotated[Instant | None, note("When it was created.")]
    received_at: Annotated[Instant | None, note("When the goods were received; null before.")]
    warehouse: Annotated[str | None, note("The warehouse that receives it.")]
    comments: Annotated[str | None, note("Remarks.")]
    label: Annotated[ReturnLabelV3 | None, note("The label that the goods travel with.")]
    items: Annotated[list[ReturnItemV3], note("What comes back.")]
    customer: Annotated[CustomerV3, note("Who sends it back.")]


class ExchangeItemV3(Part, frozen=True, kw_only=True):
    """
    A line of the order that is sent instead.
    """

    line_id: Annotated[str | None, note("The id of the line within that order.")]
    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity: Annotated[Quantity | None, note("How many are sent.")]


class ExchangeOrderV3(Part, frozen=True, kw_only=True):
    """
    The order that is sent instead.
    """

    id: Annotated[ResourceId | None, note("The id of the order.")]
    number: Annotated[str | None, note("The number of the order.")]
    status: Annotated[OrderStatusText | None, note("The status of the order.")]
    released_at: Annotated[Instant | None, note("When it was released, if it had to wait.")]
    items: Annotated[list[ExchangeItemV3], note("What is sent.")]


class ReturnDataV3(Part, frozen=True, kw_only=True):
    """
    The return and the orders on both of its sides.
    """

    return_order: Annotated[ReturnPartV3, note("The return.")] = field(name="return")
    original_order: Annotated[
        OrderReferenceV3 | None, note("The order that the goods come from; null if not known.")
    ]
    exchange_order: Annotated[
        ExchangeOrderV3 | None, note("The order that is sent instead; null if there is none.")
    ]


class ReturnBodyV3(Envelope, frozen=True, kw_only=True):
    """
    A return or an exchange.
    """

    order_id: Annotated[ResourceId | None, note("The order it comes from; null if not known.")]
    return_id: Annotated[ResourceId, note("The id of the return.")]
    sequence: Sequence
    data: Annotated[ReturnDataV3, note("The return and the orders on both of its sides.")]

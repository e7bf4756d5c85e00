"""
Shapes of the bodies of `replenishments/*`.
"""

from typing import Annotated

from dispatch_service.payloads.core.enum_strings import ReplenishmentStatusText
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


class ReplenishmentV1(Body, frozen=True, kw_only=True):
    """
    A replenishment, in short.
    """

    replenishment_id: Annotated[ResourceId, note("The id of the replenishment.")]
    po_number: Annotated[str | None, note("The number of the purchase order.")]
    status: Annotated[ReplenishmentStatusText | None, note("How far it is.")]
    date: Annotated[PlainTime, note("When the event happened, in UTC.")]


class ReplenishmentItemV2(Part, frozen=True, kw_only=True):
    """
    A line of a replenishment: received quantities are running totals.
    """

    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity_requested: Annotated[Quantity | None, note("How many were requested.")]
    quantity_received: Annotated[StockQuantity | None, note("How many have come so far.")]
    quantity_hurt: Annotated[StockQuantity | None, note("How many of them were hurt.")]
    bin: Annotated[str | None, note("The bin that the latest were put in.")]
    lpn: Annotated[str | None, note("The licence plate number that the latest came under.")]
    lot: Annotated[str | None, note("The lot of the latest.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of that lot.")]
    uom: Annotated[str | None, note("The unit of measure, for example `each`.")]


class ReplenishmentV2(Body, frozen=True, kw_only=True):
    """
    A replenishment.
    """

    replenishment_id: Annotated[ResourceId, note("The id of the replenishment.")]
    po_number: Annotated[str | None, note("The number of the purchase order.")]
    status: Annotated[ReplenishmentStatusText | None, note("How far it is.")]
    supplier_name: Annotated[str | None, note("The supplier.")]
    tracking_number: Annotated[str | None, note("The tracking number.")]
    warehouse: Annotated[str | None, note("The warehouse that it goes to.")]
    expected_delivery_date: Annotated[CalendarDate | None, note("When it is expected.")]
    created_date: Annotated[PlainTime | None, note("When it was created, in UTC.")]
    received_date: Annotated[
        PlainTime | None, note("When goods were received, in UTC; null before.")
    ]
    comments: Annotated[str | None, note("Remarks.")]
    items: Annotated[list[ReplenishmentItemV2], note("What is to come.")]


class SupplierV3(Part, frozen=True, kw_only=True):
    """
    The supplier.
    """

    name: Annotated[str | None, note("The name of the supplier.")]


class ReplenishmentItemV3(Part, frozen=True, kw_only=True):
    """
    A line of a replenishment.
    """

    sku: Annotated[str, note("The SKU.")]
    description: Annotated[str | None, note("What it is.")]
    quantity_requested: Annotated[Quantity | None, note("How many were requested.")]
    quantity_received_total: Annotated[StockQuantity | None, note("How many have come so far.")]
    uom: Annotated[str | None, note("The unit of measure, for example `each`.")]
    quantity_hurt_total: Annotated[StockQuantity | None, note("How many of them were hurt.")]


class ReplenishmentV3(Part, frozen=True, kw_only=True):
    """
    A replenishment as it is after the event.
    """

    id: Annotated[ResourceId, note("The id of the replenishment.")]
    po_number: Annotated[str | None, note("The number of the purchase order.")]
    status: Annotated[ReplenishmentStatusText | None, note("How far it is.")]
    supplier: Annotated[SupplierV3, note("The supplier.")]
    warehouse: Annotated[str | None, note("The warehouse that it goes to.")]
    tracking_number: Annotated[str | None, note("The tracking number.")]
    expected_on: Annotated[CalendarDate | None, note("When it is expected.")]
    created_at: Annotated[Instant | None, note("When it was created.")]
    items: Annotated[list[ReplenishmentItemV3], note("What is to come.")]
    comments: Annotated[str | None, note("Remarks.")]


class ReceiptItemV3(Part, frozen=True, kw_only=True):
    """
    A line of a receipt: what came now.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity_good: Annotated[
        StockQuantity | None, note("How many came that can be sold; negative if taken back.")
    ]
    quantity_hurt: Annotated[
        StockQuantity | None, note("How many came hurt; negative if taken back.")
    ]
    bin: Annotated[str | None, note("The bin that they were put in.")]
    lpn: Annotated[str | None, note("The licence plate number of the pallet or box.")]
    lot: Annotated[str | None, note("The lot.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]
    uom: Annotated[str | None, note("The unit of measure, for example `each`.")]
    serial_numbers: Annotated[list[str], note("The serial numbers.")]


class ReceiptV3(Part, frozen=True, kw_only=True):
    """
    What was received now.
    """

    id: Annotated[str | None, note("The id of the receipt.")]
    received_at: Annotated[Instant, note("When it was received.")]
    complete: Annotated[bool | None, note("Whether nothing more is to come.")]
    items: Annotated[list[ReceiptItemV3], note("What came.")]


class ReplenishmentDataV3(Part, frozen=True, kw_only=True):
    """
    The replenishment and what was received now.
    """

    replenishment: Annotated[ReplenishmentV3, note("The replenishment after the event.")]
    receipt: Annotated[
        ReceiptV3 | None, note("What was received now; null before anything has come.")
    ]


class ReplenishmentBodyV3(Envelope, frozen=True, kw_only=True):
    """
    A replenishment.
    """

    replenishment_id: Annotated[ResourceId, note("The id of the replenishment.")]
    sequence: Sequence
    data: Annotated[ReplenishmentDataV3, note("The replenishment and what was received now.")]

"""
Payloads of `inventory/corrections`: one body for each line of a correction.
"""

from typing import Annotated

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import (
    CONDITIONS,
    CORRECTION_TYPES,
    SOURCES,
    ConditionText,
    CorrectionTypeText,
    SourceText,
)
from dispatch_service.payloads.core.envelope import Envelope, Sequence, envelope
from dispatch_service.payloads.core.field_types import (
    Body,
    CalendarDate,
    Part,
    PlainTime,
    ResourceId,
    StockQuantity,
    note,
)
from dispatch_service.payloads.core.times import optional_date, plain_time
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryCorrected


class CorrectionV1(Body, frozen=True, kw_only=True):
    """
    A line of an inventory correction, in short.
    """

    correction_id: Annotated[ResourceId, note("The id of the correction, the same on its lines.")]
    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[StockQuantity, note("How many there are after the correction.")]
    adjustment: Annotated[StockQuantity, note("How many more there are than before.")]
    timestamp: Annotated[PlainTime, note("When it was corrected, in UTC.")]


class CorrectionV2(Body, frozen=True, kw_only=True):
    """
    A line of an inventory correction.
    """

    correction_id: Annotated[ResourceId, note("The id of the correction, the same on its lines.")]
    sku: Annotated[str, note("The SKU.")]
    location: Annotated[str | None, note("The location within the warehouse.")]
    bin: Annotated[str | None, note("The bin.")]
    previous_quantity: Annotated[StockQuantity, note("How many there were.")]
    new_quantity: Annotated[StockQuantity, note("How many there are.")]
    adjustment: Annotated[StockQuantity, note("`new_quantity` minus `previous_quantity`.")]
    reason: Annotated[str | None, note("Why it was corrected.")]
    user: Annotated[str | None, note("Who corrected it.")]
    timestamp: Annotated[PlainTime, note("When it was corrected, in UTC.")]


class CorrectionLineV3(Part, frozen=True, kw_only=True):
    """
    A line of an inventory correction.
    """

    id: Annotated[ResourceId, note("The id of the correction, the same on its lines.")]
    line: Annotated[int | None, note("The line within the correction, counted from 1.")]
    type: Annotated[CorrectionTypeText | None, note("The kind of correction.")]
    sku: Annotated[str, note("The SKU.")]
    warehouse: Annotated[str | None, note("The warehouse.")]
    location: Annotated[str | None, note("The location within the warehouse.")]
    bin: Annotated[str | None, note("The bin.")]
    previous_quantity: Annotated[StockQuantity, note("How many there were.")]
    new_quantity: Annotated[StockQuantity, note("How many there are.")]
    adjustment: Annotated[StockQuantity, note("`new_quantity` minus `previous_quantity`.")]
    condition: Annotated[ConditionText | None, note("The condition of the goods.")]
    lot: Annotated[str | None, note("The lot.")]
    expiration_date: Annotated[CalendarDate | None, note("The expiration date of the lot.")]
    reason: Annotated[str | None, note("Why it was corrected.")]
    user: Annotated[str | None, note("Who corrected it.")]
    source: Annotated[SourceText | None, note("The system that it was corrected in.")]


class CorrectionDataV3(Part, frozen=True, kw_only=True):
    """
    The correction.
    """

    correction: Annotated[CorrectionLineV3, note("The line that was corrected.")]


class CorrectionBodyV3(Envelope, frozen=True, kw_only=True):
    """
    A line of an inventory correction.
    """

    correction_id: Annotated[ResourceId, note("The id of the correction, the same on its lines.")]
    sequence: Sequence
    data: Annotated[CorrectionDataV3, note("The correction.")]


def v1(event: Event, correction: InventoryCorrected, topic: str) -> CorrectionV1:
    return CorrectionV1(
        event=topic,
        account_id=event.account_id,
        correction_id=correction.correction_id,
        sku=correction.sku,
        quantity=correction.new_quantity,
        adjustment=correction.adjustment,
        timestamp=plain_time(event.occurred_at),
    )


def v2(event: Event, correction: InventoryCorrected, topic: str) -> CorrectionV2:
    """
    Build the 12 keys of the published example.
    """
    return CorrectionV2(
        event=topic,
        account_id=event.account_id,
        correction_id=correction.correction_id,
        sku=correction.sku,
        location=correction.location or None,
        bin=correction.bin or None,
        previous_quantity=correction.previous_quantity,
        new_quantity=correction.new_quantity,
        adjustment=correction.adjustment,
        reason=correction.reason or None,
        user=event.actor.name or None,
        timestamp=plain_time(event.occurred_at),
    )


def _line(event: Event, correction: InventoryCorrected) -> CorrectionLineV3:
    return CorrectionLineV3(
        id=correction.correction_id,
        line=correction.line or None,
        type=CORRECTION_TYPES.get(correction.type),
        sku=correction.sku,
        warehouse=correction.warehouse or None,
        location=correction.location or None,
        bin=correction.bin or None,
        previous_quantity=correction.previous_quantity,
        new_quantity=correction.new_quantity,
        adjustment=correction.adjustment,
        condition=CONDITIONS.get(correction.condition),
        lot=correction.lot or None,
        expiration_date=optional_date(correction, "expiration_date"),
        reason=correction.reason or None,
        user=event.actor.name or None,
        source=SOURCES.get(event.source),
    )


def v3(event: Event, correction: InventoryCorrected, topic: str) -> CorrectionBodyV3:
    return CorrectionBodyV3(
        **envelope(event, topic),
        correction_id=correction.correction_id,
        data=CorrectionDataV3(correction=_line(event, correction)),
    )


BUILDERS: dict[Key, Builder] = {
    ("inventory/corrections", "v1"): v1,
    ("inventory/corrections", "v2"): v2,
    ("inventory/corrections", "v3"): v3,
}

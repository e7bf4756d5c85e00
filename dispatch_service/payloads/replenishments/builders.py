"""
Builders of `replenishments/*`.
"""

from typing import TypeAlias

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import REPLENISHMENT_STATUSES, enum_string
from dispatch_service.payloads.core.envelope import envelope
from dispatch_service.payloads.core.presence import optional_flag, optional_number
from dispatch_service.payloads.core.times import (
    instant,
    optional_date,
    optional_instant,
    optional_plain_time,
    plain_time,
)
from dispatch_service.payloads.replenishments import shapes
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.replenishment_pb2 import (
    Receipt,
    ReceiptItem,
    Replenishment,
    ReplenishmentInitiated,
    ReplenishmentItem,
    ReplenishmentReceived,
)

ReplenishmentChange: TypeAlias = ReplenishmentInitiated | ReplenishmentReceived

_NOT_RECEIVED = ReceiptItem()


def _status(replenishment: Replenishment) -> str | None:
    return enum_string(REPLENISHMENT_STATUSES, replenishment.status, replenishment.status_label)


def v1(event: Event, change: ReplenishmentChange, topic: str) -> shapes.ReplenishmentV1:
    replenishment = change.replenishment
    return shapes.ReplenishmentV1(
        event=topic,
        account_id=event.account_id,
        replenishment_id=replenishment.id,
        po_number=replenishment.po_number or None,
        status=_status(replenishment),
        date=plain_time(event.occurred_at),
    )


def _item_v2(item: ReplenishmentItem, received: ReceiptItem) -> shapes.ReplenishmentItemV2:
    """
    Build a line with its running totals, and with bin, lot and unit of the latest receipt.
    """
    return shapes.ReplenishmentItemV2(
        sku=item.sku,
        description=item.description or None,
        quantity_requested=optional_number(item, "quantity_requested"),
        quantity_received=optional_number(item, "quantity_received"),
        quantity_hurt=optional_number(item, "quantity_hurt"),
        bin=received.bin or None,
        lpn=received.lpn or None,
        lot=received.lot or None,
        expiration_date=optional_date(received, "expiration_date"),
        uom=received.uom or item.uom or None,
    )


def _v2(
    event: Event,
    replenishment: Replenishment,
    topic: str,
    received_date: str | None,
    latest: dict[str, ReceiptItem],
) -> shapes.ReplenishmentV2:
    return shapes.ReplenishmentV2(
        event=topic,
        account_id=event.account_id,
        replenishment_id=replenishment.id,
        po_number=replenishment.po_number or None,
        status=_status(replenishment),
        supplier_name=replenishment.supplier_name or None,
        tracking_number=replenishment.tracking_number or None,
        warehouse=replenishment.warehouse or None,
        expected_delivery_date=optional_date(replenishment, "expected_on"),
        created_date=optional_plain_time(replenishment, "created_at"),
        received_date=received_date,
        comments=replenishment.comments or None,
        items=[_item_v2(item, latest.get(item.sku, _NOT_RECEIVED)) for item in replenishment.items],
    )


def initiated_v2(
    event: Event, change: ReplenishmentInitiated, topic: str
) -> shapes.ReplenishmentV2:
    return _v2(event, change.replenishment, topic, None, {})


def received_v2(event: Event, change: ReplenishmentReceived, topic: str) -> shapes.ReplenishmentV2:
    """
    Build version 2 of `replenishments/received`.

    If the receipt has several lines of one SKU, the last one is shown.
    """
    receipt = change.receipt
    received = optional_plain_time(receipt, "received_at") or plain_time(event.occurred_at)
    latest = {item.sku: item for item in receipt.items}
    return _v2(event, change.replenishment, topic, received, latest)


def _item_v3(item: ReplenishmentItem) -> shapes.ReplenishmentItemV3:
    return shapes.ReplenishmentItemV3(
        sku=item.sku,
        description=item.description or None,
        quantity_requested=optional_number(item, "quantity_requested"),
        quantity_received_total=optional_number(item, "quantity_received"),
        uom=item.uom or None,
        quantity_hurt_total=optional_number(item, "quantity_hurt"),
    )


def _replenishment_v3(replenishment: Replenishment) -> shapes.ReplenishmentV3:
    return shapes.ReplenishmentV3(
        id=replenishment.id,
        po_number=replenishment.po_number or None,
        status=_status(replenishment),
        supplier=shapes.SupplierV3(name=replenishment.supplier_name or None),
        warehouse=replenishment.warehouse or None,
        tracking_number=replenishment.tracking_number or None,
        expected_on=optional_date(replenishment, "expected_on"),
        created_at=optional_instant(replenishment, "created_at"),
        items=[_item_v3(item) for item in replenishment.items],
        comments=replenishment.comments or None,
    )


def _receipt(event: Event, receipt: Receipt) -> shapes.ReceiptV3:
    return shapes.ReceiptV3(
        id=receipt.id or None,
        received_at=optional_instant(receipt, "received_at") or instant(event.occurred_at),
        complete=optional_flag(receipt, "complete"),
        items=[
            shapes.ReceiptItemV3(
                sku=item.sku,
                quantity_good=optional_number(item, "quantity_good"),
                quantity_hurt=optional_number(item, "quantity_hurt"),
                bin=item.bin or None,
                lpn=item.lpn or None,
                lot=item.lot or None,
                expiration_date=optional_date(item, "expiration_date"),
                uom=item.uom or None,
                serial_numbers=item.serial_numbers[:],
            )
            for item in receipt.items
        ],
    )


def _v3(
    event: Event, replenishment: Replenishment, topic: str, receipt: shapes.ReceiptV3 | None
) -> shapes.ReplenishmentBodyV3:
    contents = shapes.ReplenishmentDataV3(
        replenishment=_replenishment_v3(replenishment), receipt=receipt
    )
    return shapes.ReplenishmentBodyV3(
        **envelope(event, topic), replenishment_id=replenishment.id, data=contents
    )


def initiated_v3(
    event: Event, change: ReplenishmentInitiated, topic: str
) -> shapes.ReplenishmentBodyV3:
    return _v3(event, change.replenishment, topic, None)


def received_v3(
    event: Event, change: ReplenishmentReceived, topic: str
) -> shapes.ReplenishmentBodyV3:
    return _v3(event, change.replenishment, topic, _receipt(event, change.receipt))


BUILDERS: dict[Key, Builder] = {
    ("replenishments/initiated", "v1"): v1,
    ("replenishments/initiated", "v2"): initiated_v2,
    ("replenishments/initiated", "v3"): initiated_v3,
    ("replenishments/received", "v1"): v1,
    ("replenishments/received", "v2"): received_v2,
    ("replenishments/received", "v3"): received_v3,
}

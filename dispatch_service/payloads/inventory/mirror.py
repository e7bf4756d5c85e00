"""
Payloads of `inventory/mirror`: the stock of one SKU in one warehouse.

Quantities are absolute, so the next body corrects a lost one.
"""

from typing import Annotated, Literal

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import LEVEL_CAUSES, CauseText, enum_string
from dispatch_service.payloads.core.envelope import Envelope, Sequence, envelope
from dispatch_service.payloads.core.field_types import (
    Body,
    Instant,
    Part,
    PlainTime,
    StockQuantity,
    note,
)
from dispatch_service.payloads.core.presence import optional_number
from dispatch_service.payloads.core.times import (
    instant,
    optional_instant,
    optional_plain_time,
    plain_time,
)
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryLevel, InventoryLevelsChanged


class MirrorV1(Body, frozen=True, kw_only=True):
    """
    The stock of a SKU, in short.
    """

    sku: Annotated[str, note("The SKU.")]
    quantity: Annotated[StockQuantity, note("What can be sold; negative where too much was sold.")]
    timestamp: Annotated[PlainTime, note("When it changed, in UTC.")]


class MirrorItemV2(Part, frozen=True, kw_only=True):
    """
    The stock of a SKU.
    """

    sku: Annotated[str, note("The SKU.")]
    upc: Annotated[str | None, note("Its universal product code.")]
    quantity_available: Annotated[
        StockQuantity, note("What can be sold; negative where too much was sold.")
    ]
    quantity_in_warehouse: Annotated[StockQuantity | None, note("What is in the warehouse.")]
    quantity_reserved: Annotated[StockQuantity | None, note("What is reserved for orders.")]
    quantity_backorder: Annotated[StockQuantity | None, note("What orders wait for.")]
    quantity_hurt: Annotated[StockQuantity | None, note("What is hurt.")]
    quantity_in_transit: Annotated[
        StockQuantity | None, note("What is on its way to the warehouse.")
    ]


class MirrorV2(Body, frozen=True, kw_only=True):
    """
    The stock of a SKU in a warehouse.
    """

    warehouse: Annotated[str | None, note("The warehouse.")]
    timestamp: Annotated[PlainTime, note("When it changed, in UTC.")]
    items: Annotated[list[MirrorItemV2], note("The stock: one SKU.")]


class MirrorPartV3(Part, frozen=True, kw_only=True):
    """
    Which part of the message this is.
    """

    number: Annotated[Literal[1], note("Always 1.")]
    of: Annotated[Literal[1], note("Always 1: a body has one SKU.")]


class LevelV3(Part, frozen=True, kw_only=True):
    """
    The stock of a SKU in a warehouse: absolute numbers, not differences.
    """

    sku: Annotated[str, note("The SKU.")]
    upc: Annotated[str | None, note("Its universal product code.")]
    warehouse: Annotated[str | None, note("The warehouse.")]
    sequence: Sequence
    available: Annotated[StockQuantity, note("What can be sold; negative where too much was sold.")]
    in_warehouse: Annotated[StockQuantity | None, note("What is in the warehouse.")]
    reserved: Annotated[StockQuantity | None, note("What is reserved for orders.")]
    backorder: Annotated[StockQuantity | None, note("What orders wait for.")]
    hurt: Annotated[StockQuantity | None, note("What is hurt.")]
    in_transit: Annotated[StockQuantity | None, note("What is on its way to the warehouse.")]
    updated_at: Annotated[Instant, note("When it changed.")]


class MirrorDataV3(Part, frozen=True, kw_only=True):
    """
    The stock that changed.
    """

    mode: Annotated[Literal["delta"], note("Only what changed is sent.")]
    part: Annotated[MirrorPartV3, note("Which part of the message this is.")]
    cause: Annotated[CauseText | None, note("What changed it.")]
    levels: Annotated[list[LevelV3], note("The stock as it is now: one SKU.")]


class MirrorBodyV3(Envelope, frozen=True, kw_only=True):
    """
    The stock of a SKU in a warehouse.
    """

    sku: Annotated[str, note("The SKU.")]
    sequence: Sequence
    data: Annotated[MirrorDataV3, note("The stock that changed.")]


def _changed_at(event: Event, level: InventoryLevel) -> str:
    """
    Write when the stock changed, for versions 1 and 2.
    """
    return optional_plain_time(level, "updated_at") or plain_time(event.occurred_at)


def v1(event: Event, change: InventoryLevelsChanged, topic: str) -> MirrorV1:
    level = change.levels[0]
    return MirrorV1(
        event=topic,
        account_id=event.account_id,
        sku=level.sku,
        quantity=level.available,
        timestamp=_changed_at(event, level),
    )


def v2(event: Event, change: InventoryLevelsChanged, topic: str) -> MirrorV2:
    level = change.levels[0]
    item = MirrorItemV2(
        sku=level.sku,
        upc=level.upc or None,
        quantity_available=level.available,
        quantity_in_warehouse=optional_number(level, "in_warehouse"),
        quantity_reserved=optional_number(level, "reserved"),
        quantity_backorder=optional_number(level, "backorder"),
        quantity_hurt=optional_number(level, "hurt"),
        quantity_in_transit=optional_number(level, "in_transit"),
    )
    return MirrorV2(
        event=topic,
        account_id=event.account_id,
        warehouse=level.warehouse or None,
        timestamp=_changed_at(event, level),
        items=[item],
    )


def _level(event: Event, level: InventoryLevel) -> LevelV3:
    return LevelV3(
        sku=level.sku,
        upc=level.upc or None,
        warehouse=level.warehouse or None,
        sequence=event.sequence or None,
        available=level.available,
        in_warehouse=optional_number(level, "in_warehouse"),
        reserved=optional_number(level, "reserved"),
        backorder=optional_number(level, "backorder"),
        hurt=optional_number(level, "hurt"),
        in_transit=optional_number(level, "in_transit"),
        updated_at=optional_instant(level, "updated_at") or instant(event.occurred_at),
    )


def v3(event: Event, change: InventoryLevelsChanged, topic: str) -> MirrorBodyV3:
    level = change.levels[0]
    contents = MirrorDataV3(
        mode="delta",
        part=MirrorPartV3(number=1, of=1),
        cause=enum_string(LEVEL_CAUSES, change.cause, change.cause_label),
        levels=[_level(event, level)],
    )
    return MirrorBodyV3(**envelope(event, topic), sku=level.sku, data=contents)


BUILDERS: dict[Key, Builder] = {
    ("inventory/mirror", "v1"): v1,
    ("inventory/mirror", "v2"): v2,
    ("inventory/mirror", "v3"): v3,
}

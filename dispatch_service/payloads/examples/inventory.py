"""
Example events of `inventory/*`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from dispatch_service.payloads.examples.parts import at
from shipedge.webhooks.events.v1.event_pb2 import ACTOR_KIND_USER, Actor, Event
from shipedge.webhooks.events.v1.inventory_pb2 import (
    CORRECTION_TYPE_RECOUNT,
    LEVEL_CAUSE_CORRECTION,
    STOCK_CONDITION_GOOD,
    InventoryCorrected,
    InventoryLevel,
    InventoryLevelsChanged,
)
from shipedge.webhooks.events.v1.states_pb2 import EVENT_SOURCE_WMS


def _corrected(_: str) -> Event:
    return Event(
        event_id="018d0d30-9b80-7d11-8c55-5f2a7be0a602",
        account_id=100,
        warehouses=["wh1"],
        occurred_at=at("2024-01-15T14:20:00Z"),
        sequence=42,
        source=EVENT_SOURCE_WMS,
        actor=Actor(kind=ACTOR_KIND_USER, name="warehouse_user"),
        inventory_corrected=InventoryCorrected(
            correction_id=789,
            line=1,
            type=CORRECTION_TYPE_RECOUNT,
            sku="PROD-001",
            warehouse="wh1",
            location="A-01",
            bin="BIN-001",
            previous_quantity=50,
            new_quantity=45,
            adjustment=-5,
            condition=STOCK_CONDITION_GOOD,
            reason="Cycle count adjustment",
        ),
    )


def _mirrored(_: str) -> Event:
    level = InventoryLevel(
        sku="PROD-001",
        upc="012345678905",
        warehouse="wh1",
        available=40,
        in_warehouse=45,
        reserved=5,
        backorder=0,
        hurt=1,
        in_transit=100,
        updated_at=at("2024-01-15T14:20:05Z"),
    )
    return Event(
        event_id="018d0d30-a10f-7f64-b2c1-0e9d3a7745cd",
        account_id=100,
        warehouses=["wh1"],
        occurred_at=at("2024-01-15T14:20:05Z"),
        sequence=43,
        source=EVENT_SOURCE_WMS,
        inventory_levels_changed=InventoryLevelsChanged(
            levels=[level], cause=LEVEL_CAUSE_CORRECTION
        ),
    )


# By event type: the function that makes its example. It is called with the event type.
EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    "inventory/corrections": _corrected,
    "inventory/mirror": _mirrored,
}

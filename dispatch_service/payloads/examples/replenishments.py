"""
Example events of `replenishments/*`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from google.type.date_pb2 import Date

from dispatch_service.payloads.examples.parts import at
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.replenishment_pb2 import (
    REPLENISHMENT_STATUS_IN_TRANSIT,
    REPLENISHMENT_STATUS_PARTIALLY_RECEIVED,
    Receipt,
    ReceiptItem,
    Replenishment,
    ReplenishmentInitiated,
    ReplenishmentItem,
    ReplenishmentReceived,
    ReplenishmentStatus,
)
from shipedge.webhooks.events.v1.states_pb2 import EVENT_SOURCE_OMS, EVENT_SOURCE_WMS


def _replenishment(status: ReplenishmentStatus.ValueType, received: int) -> Replenishment:
    item = ReplenishmentItem(
        sku="PROD-001",
        description="Product Description",
        quantity_requested=100,
        quantity_received=received,
        quantity_hurt=0,
        uom="each",
    )
    return Replenishment(
        id=13224,
        po_number="123456",
        status=status,
        supplier_name="Test Supplier",
        warehouse="wh1",
        tracking_number="1212122",
        expected_on=Date(year=2024, month=1, day=20),
        created_at=at("2024-01-15T08:00:00Z"),
        items=[item],
    )


def _requested(_: str) -> Event:
    return Event(
        event_id="018d0c22-7000-7c95-a4e1-6b39f07d52c8",
        account_id=100,
        warehouses=["wh1"],
        occurred_at=at("2024-01-15T08:00:00Z"),
        sequence=1,
        source=EVENT_SOURCE_OMS,
        replenishment_initiated=ReplenishmentInitiated(
            replenishment=_replenishment(REPLENISHMENT_STATUS_IN_TRANSIT, 0)
        ),
    )


def _received(_: str) -> Event:
    item = ReceiptItem(
        sku="PROD-001",
        quantity_good=98,
        quantity_hurt=0,
        bin="BIN-001",
        lpn="LPN20",
        lot="LOT5",
        expiration_date=Date(year=2025, month=10, day=10),
        uom="each",
    )
    received_at = at("2024-01-20T11:45:00Z")
    receipt = Receipt(id="13224-1", received_at=received_at, complete=False, items=[item])
    return Event(
        event_id="018d26aa-52f0-7b08-a1d2-6c0f5b88e9d3",
        account_id=100,
        warehouses=["wh1"],
        occurred_at=at("2024-01-20T11:45:00Z"),
        sequence=3,
        source=EVENT_SOURCE_WMS,
        replenishment_received=ReplenishmentReceived(
            replenishment=_replenishment(REPLENISHMENT_STATUS_PARTIALLY_RECEIVED, 98),
            receipt=receipt,
        ),
    )


# By event type: the function that makes its example. It is called with the event type.
EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    "replenishments/initiated": _requested,
    "replenishments/received": _received,
}

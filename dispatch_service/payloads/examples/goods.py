"""
Realistic events about inventory, replenishments and the webhooks themselves.
"""

from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.type.date_pb2 import Date

from dispatch_service.payloads.examples.parts import at
from shipedge.webhooks.events.v1.endpoint_pb2 import EndpointStateChanged
from shipedge.webhooks.events.v1.event_pb2 import (
    ACTOR_KIND_SYSTEM,
    ACTOR_KIND_USER,
    Actor,
    Event,
)
from shipedge.webhooks.events.v1.inventory_pb2 import (
    CORRECTION_TYPE_RECOUNT,
    LEVEL_CAUSE_CORRECTION,
    STOCK_CONDITION_GOOD,
    InventoryCorrected,
    InventoryLevel,
    InventoryLevelsChanged,
)
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
from shipedge.webhooks.events.v1.states_pb2 import (
    ENDPOINT_STATE_DEACTIVATED,
    ENDPOINT_STATE_FAILING,
    ENDPOINT_STATE_RECOVERED,
    EVENT_SOURCE_OMS,
    EVENT_SOURCE_WMS,
    EndpointState,
)


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


def _replenishment(status: ReplenishmentStatus.ValueType, received: int) -> Replenishment:
    item = ReplenishmentItem(
        sku="PROD-001",
        description="Product Description",
        quantity_requested=100,
        quantity_received=received,
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
        bin="BIN-001",
        lpn="LPN20",
        lot="LOT5",
        expiration_date=Date(year=2025, month=10, day=10),
        uom="each",
    )
    receipt = Receipt(id="13224-1", received_at=at("2024-01-20T11:45:00Z"), items=[item])
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


def _endpoint(event_id: str, moment: str, change: EndpointStateChanged) -> Event:
    change.subscription = "accounts/100/subscriptions/shipped-orders"
    change.subscribed_event_type = "orders/shipped"
    change.url = "https://example.com/webhooks/order-shipped"
    return Event(
        event_id=event_id,
        account_id=100,
        occurred_at=at(moment),
        actor=Actor(kind=ACTOR_KIND_SYSTEM),
        endpoint_state_changed=change,
    )


def _troubled(state: EndpointState.ValueType, attempts: int, hours: int) -> EndpointStateChanged:
    return EndpointStateChanged(
        state=state,
        failing_since=at("2024-01-15T10:30:10Z"),
        failed_attempts=attempts,
        failing_for=Duration(seconds=hours * 3600),
    )


def _failing(_: str) -> Event:
    change = _troubled(ENDPOINT_STATE_FAILING, 20, 1)
    change.failure_kind = "timeout"
    return _endpoint("018d0ce2-d5d0-7f03-9b6a-2e84c1d7f590", "2024-01-15T11:30:10Z", change)


def _recovered(_: str) -> Event:
    change = _troubled(ENDPOINT_STATE_RECOVERED, 32, 2)
    return _endpoint("018d0d19-c450-7a68-8d31-f5b02e96c74a", "2024-01-15T12:30:10Z", change)


def _deactivated(_: str) -> Event:
    change = _troubled(ENDPOINT_STATE_DEACTIVATED, 1, 0)
    change.failure_kind = "http_status"
    change.response_code = 410
    change.reason = "gone"
    return _endpoint("018d0cab-eb50-7d1c-b7e9-043fa8c65d12", "2024-01-15T10:30:10Z", change)


# What makes the example of each event type, called with the event type.
EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    "inventory/corrections": _corrected,
    "inventory/mirror": _mirrored,
    "replenishments/initiated": _requested,
    "replenishments/received": _received,
    "webhooks/endpoint_failing": _failing,
    "webhooks/endpoint_recovered": _recovered,
    "webhooks/endpoint_deactivated": _deactivated,
}

"""
Paths of the fields of a payload version in a later version, for receivers that move.

Paths are written without the marks of lists: `items.sku`.
"""

from collections.abc import Mapping
from typing import Final

from dispatch_service.payloads.orders.event_types import SHIPPED, UNSHIPPED
from dispatch_service.payloads.returns.event_types import EXCHANGES, SIMPLE

_EVENT_TIME: Final = "occurred_at"

_ORDER: Final = {
    "order_id": "order_id",
    "order_number": "data.order.number",
    "order_reference": "data.order.reference",
    "status": "data.order.status",
}
_SHIPPED: Final = {
    **_ORDER,
    "shipped_date": "data.order.shipments.shipped_at",
    "tracking_number": "data.order.shipments.tracking_number",
    "carrier": "data.order.shipments.carrier",
    "shipping_method": "data.order.shipments.shipping_method",
    "customer.email": "data.order.customer.email",
    "customer.name": "data.order.customer.name",
    **{
        f"customer.address.{part}": f"data.order.shipping_address.{part}"
        for part in ("address1", "city", "state", "zip", "country")
    },
    "items.sku": "data.order.items.sku",
    "items.quantity": "data.order.items.quantity",
    "items.description": "data.order.items.description",
    "total": "data.order.totals.subtotal.amount",
    "shipping_cost": "data.order.totals.shipping.amount",
}
_UNSHIPPED: Final = {
    **_SHIPPED,
    "shipping_method": "data.order.shipping_method",
    "previous_status": "data.change.previous_status",
    "status_date": _EVENT_TIME,
    "canceled_date": _EVENT_TIME,
    "cancel_reason": "data.change.cancel_reason",
    "divided_date": _EVENT_TIME,
    "divided_orders.order_id": "data.change.divided_orders.id",
    "divided_orders.order_number": "data.change.divided_orders.number",
    "updated_date": _EVENT_TIME,
    "updated_fields": "data.change.updated_fields",
    "user": "data.change.user",
    "sent_date": _EVENT_TIME,
    "sent_to": "data.change.sent_to",
}
_ITEMS: Final = {
    f"items.{name}": f"data.items.{name}"
    for name in (
        "sku",
        "quantity",
        "description",
        "quantity_ordered",
        "quantity_remaining",
        "lot",
        "expiration_date",
        "serial_numbers",
    )
}
_FIRST_SHIPMENT: Final = {
    "tracking_number": "data.shipments.tracking_number",
    "carrier": "data.shipments.carrier",
    "items.shipments.id": "data.items.shipments.id",
    "items.shipments.tracking_number": "data.items.shipments.tracking_number",
    "items.shipments.carrier": "data.shipments.carrier",
    "items.shipments.shipping_method": "data.shipments.shipping_method",
    "items.shipments.shipped_date": "data.shipments.shipped_at",
    "items.shipments.quantity": "data.items.shipments.quantity",
}
_RETURN: Final = {
    "return_id": "return_id",
    "rma_number": "data.return.rma_number",
    "return_type": "data.return.type",
    "order_id": "order_id",
    "order_number": "data.original_order.number",
    "order_reference": "data.original_order.reference",
    "status": "data.return.status",
    "created_date": "data.return.created_at",
    "received_date": "data.return.received_at",
    "tracking_number": "data.return.label.tracking_number",
    "carrier": "data.return.label.carrier",
    "comments": "data.return.comments",
    "customer.email": "data.return.customer.email",
    "customer.name": "data.return.customer.name",
    "items.sku": "data.return.items.sku",
    "items.description": "data.return.items.description",
    "items.quantity_good_expected": "data.return.items.expected.good",
    "items.quantity_hurt_expected": "data.return.items.expected.hurt",
    "items.quantity_good": "data.return.items.received.good",
    "items.quantity_hurt": "data.return.items.received.hurt",
    "items.reason": "data.return.items.reason",
    "exchange_order.order_id": "data.exchange_order.id",
    "exchange_order.order_number": "data.exchange_order.number",
    "exchange_order.status": "data.exchange_order.status",
    "exchange_order.items.sku": "data.exchange_order.items.sku",
    "exchange_order.items.quantity": "data.exchange_order.items.quantity",
    "exchange_order.items.description": "data.exchange_order.items.description",
}
_REPLENISHMENT: Final = {
    "replenishment_id": "replenishment_id",
    "po_number": "data.replenishment.po_number",
    "status": "data.replenishment.status",
    "supplier_name": "data.replenishment.supplier.name",
    "tracking_number": "data.replenishment.tracking_number",
    "warehouse": "data.replenishment.warehouse",
    "expected_delivery_date": "data.replenishment.expected_on",
    "created_date": "data.replenishment.created_at",
    "received_date": "data.receipt.received_at",
    "comments": "data.replenishment.comments",
    "items.sku": "data.replenishment.items.sku",
    "items.description": "data.replenishment.items.description",
    "items.quantity_requested": "data.replenishment.items.quantity_requested",
    "items.quantity_received": "data.replenishment.items.quantity_received_total",
    **{
        f"items.{name}": f"data.receipt.items.{name}"
        for name in ("bin", "lpn", "lot", "expiration_date")
    },
    "items.quantity_hurt": "data.replenishment.items.quantity_hurt_total",
    "items.uom": "data.replenishment.items.uom",
}
_V2_IN_V3: Final[Mapping[str, Mapping[str, str]]] = {
    **dict.fromkeys(SHIPPED, _SHIPPED),
    **dict.fromkeys(UNSHIPPED, _UNSHIPPED),
    **dict.fromkeys((*SIMPLE, *EXCHANGES), _RETURN),
    "orders/shipped_items": {
        **_ORDER,
        **_ITEMS,
        **_FIRST_SHIPMENT,
        "shipped_date": "data.shipments.shipped_at",
        "shipping_method": "data.shipments.shipping_method",
    },
    "orders/pending_items": {
        **_ORDER,
        **_ITEMS,
        "pending_date": _EVENT_TIME,
        **_FIRST_SHIPMENT,
        "shipping_method": "data.order.shipping_method",
    },
    "orders/refund": {
        **_ORDER,
        "refund_id": "data.refund.id",
        "refund_date": _EVENT_TIME,
        "refund_type": "data.refund.type",
        "reason": "data.refund.reason",
        "rma_number": "data.refund.rma_number",
        "customer.email": "data.order.customer.email",
        "customer.name": "data.order.customer.name",
        "items.sku": "data.refund.items.sku",
        "items.quantity": "data.refund.items.quantity",
        "items.description": "data.refund.items.description",
        "items.amount": "data.refund.items.subtotal.amount",
        "shipping_refund": "data.refund.shipping.amount",
        "tax_refund": "data.refund.tax.amount",
        "refund_total": "data.refund.total.amount",
        "user": "data.refund.user",
        "currency": "data.refund.total.currency",
    },
    "inventory/corrections": {
        "correction_id": "correction_id",
        **{
            name: f"data.correction.{name}"
            for name in (
                "sku",
                "location",
                "bin",
                "previous_quantity",
                "new_quantity",
                "adjustment",
                "reason",
                "user",
            )
        },
        "timestamp": _EVENT_TIME,
    },
    "inventory/mirror": {
        "warehouse": "data.levels.warehouse",
        "timestamp": "data.levels.updated_at",
        "items.sku": "data.levels.sku",
        "items.upc": "data.levels.upc",
        **{
            f"items.quantity_{name}": f"data.levels.{name}"
            for name in ("available", "in_warehouse", "reserved", "backorder", "hurt", "in_transit")
        },
    },
    "replenishments/received": _REPLENISHMENT,
    "replenishments/initiated": _REPLENISHMENT,
}

_ORDER_DATES: Final = {
    **dict.fromkeys(SHIPPED, "shipped_date"),
    "orders/any_status_change": "status_date",
    "orders/pending": "status_date",
    "orders/processing": "status_date",
    "orders/backorder": "status_date",
    "orders/canceled": "canceled_date",
    "orders/dropship_cancel": "canceled_date",
    "orders/divided": "divided_date",
    "orders/updated_by_oms": "updated_date",
    "orders/sent_by_amazon_fba": "sent_date",
    "orders/sent_by_amazon_mcf": "sent_date",
    "orders/sent_to_shipedge": "sent_date",
    "orders/shipped_items": "shipped_date",
    "orders/pending_items": "pending_date",
}
_EXCHANGED: Final = {
    "exchange_order_id": "exchange_order.order_id",
    "exchange_order_number": "exchange_order.order_number",
}

# Only fields with another path: the others have the same path in both versions.
_V1_IN_V2: Final[Mapping[str, Mapping[str, str]]] = {
    **{event_type: {"date": name} for event_type, name in _ORDER_DATES.items()},
    **{
        event_type: {
            **(_EXCHANGED if event_type in EXCHANGES else {}),
            "date": "created_date" if event_type.endswith("_initiated") else "received_date",
        }
        for event_type in (*SIMPLE, *EXCHANGES)
    },
    "orders/refund": {"amount": "refund_total", "date": "refund_date"},
    "inventory/corrections": {"quantity": "new_quantity"},
    "inventory/mirror": {"sku": "items.sku", "quantity": "items.quantity_available"},
    "replenishments/initiated": {"date": "created_date"},
    "replenishments/received": {"date": "received_date"},
}


def moved_paths(event_type: str, older: str, newer: str) -> Mapping[str, str]:
    """
    Map paths in the payload version *older* to paths in *newer*.

    A field that is not in the map has the same path, or is missing in *newer*.
    """
    match older, newer:
        case "v1", "v2":
            return _V1_IN_V2.get(event_type, {})
        case "v2", "v3":
            return _V2_IN_V3.get(event_type, {})
        case "v1", "v3":
            return _v1_in_v3(event_type)
    return {}


def _v1_in_v3(event_type: str) -> Mapping[str, str]:
    from_v2 = _V2_IN_V3.get(event_type, {})
    from_v1 = {old: from_v2.get(new) for old, new in _V1_IN_V2.get(event_type, {}).items()}
    found = {**from_v2, **{old: new for old, new in from_v1.items() if new is not None}}
    # The only time in version 1 is the time of the event.
    return {**found, "date": _EVENT_TIME, "timestamp": _EVENT_TIME}

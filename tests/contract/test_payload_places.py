"""
Who moves from version 2 to version 3 finds everything again: the place of
every field of version 2 in version 3.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from dispatch_service.payloads import CONTRACTS, example_body
from dispatch_service.payloads.orders import SHIPPED, UNSHIPPED
from dispatch_service.payloads.returns import EXCHANGES, SIMPLE

_HAPPENED: Final = "occurred_at"

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
    "status_date": _HAPPENED,
    "canceled_date": _HAPPENED,
    "cancel_reason": "data.change.cancel_reason",
    "divided_date": _HAPPENED,
    "divided_orders.order_id": "data.change.divided_orders.id",
    "divided_orders.order_number": "data.change.divided_orders.number",
    "updated_date": _HAPPENED,
    "updated_fields": "data.change.updated_fields",
    "user": "data.change.user",
    "sent_date": _HAPPENED,
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
        for name in ("quantity_hurt", "bin", "lpn", "lot", "expiration_date", "uom")
    },
}
_PLACES: Final[Mapping[str, Mapping[str, str]]] = {
    **dict.fromkeys(SHIPPED, _SHIPPED),
    **dict.fromkeys(UNSHIPPED, _UNSHIPPED),
    **dict.fromkeys((*SIMPLE, *EXCHANGES), _RETURN),
    "orders/shipped_items": {
        **_ORDER,
        **_ITEMS,
        "shipped_date": "data.shipment.shipped_at",
        "tracking_number": "data.shipment.tracking_number",
        "carrier": "data.shipment.carrier",
        "shipping_method": "data.shipment.shipping_method",
    },
    "orders/pending_items": {
        **_ORDER,
        **_ITEMS,
        "pending_date": _HAPPENED,
        "tracking_number": "data.shipment",
        "carrier": "data.shipment",
        "shipping_method": "data.order.shipping_method",
    },
    "orders/refund": {
        **_ORDER,
        "refund_id": "data.refund.id",
        "refund_date": _HAPPENED,
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
        "timestamp": _HAPPENED,
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
    "replenishments/initiated": {
        **_REPLENISHMENT,
        "items.quantity_hurt": "data.replenishment.items.quantity_received_total",
        "items.uom": "data.replenishment.items.uom",
    },
}

# What version 3 leaves to its reader to work out.
_DERIVED: Final = {"items.quantity": _RETURN}


def _leaves(part: Any, path: str = "") -> dict[str, list[Any]]:
    """
    Collect the leaves of a body, those of all elements of a list under one path.
    """
    if isinstance(part, dict):
        parts = [(f"{path}.{name}" if path else name, value) for name, value in part.items()]
    elif isinstance(part, list) and part and isinstance(part[0], dict):
        parts = [(path, value) for value in part]
    else:
        return {path: [_shown(part)]}
    found: dict[str, list[Any]] = {}
    for name, value in parts:
        for leaf, values in _leaves(value, name).items():
            found.setdefault(leaf, []).extend(values)
    return found


def _found(leaves: Mapping[str, list[Any]], path: str) -> list[Any]:
    """
    Read the values at *path*: null where the object that it leads through is.
    """
    if path in leaves:
        return leaves[path]
    ways = [leaf for leaf in leaves if path.startswith(f"{leaf}.")]
    assert [leaves[way] for way in ways] in ([[None]], [[[]]]), path
    return [None]


def _shown(value: Any) -> Any:
    """
    Write a value as version 3 would.
    """
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and len(value) == len("2024-01-15 10:30:00") and value[10] == " ":
        return f"{value[:10]}T{value[11:]}Z"
    return value


@pytest.mark.parametrize(
    "event_type", [event_type for event_type, version in CONTRACTS if version == "v2"]
)
def test_places(event_type: str) -> None:
    """
    Each value of version 2 stands at its place in version 3.
    """
    places = _PLACES[event_type]
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    before = _leaves(decoder.decode(example_body(event_type, "v2")))
    after = _leaves(decoder.decode(example_body(event_type, "v3")))

    for leaf, values in before.items():
        if leaf in {"event", "account_id"} or _DERIVED.get(leaf) is places:
            continue
        assert _found(after, places[leaf]) == values, leaf

"""
The source of every field of the payload contracts.

A field comes from the field of the same name in the message beside its shape. Other sources are
listed: `Message.field` of the contract, or `=` and a reason if it is a constant or derived.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct

from dispatch_service.payloads import webhooks
from dispatch_service.payloads.core import money
from dispatch_service.payloads.inventory import corrections, mirror
from dispatch_service.payloads.orders import (
    items_shapes,
    order_summary,
    order_v1,
    order_v2_shapes,
    order_v3_shapes,
    refunds,
)
from dispatch_service.payloads.replenishments import shapes as replenishments
from dispatch_service.payloads.returns import shapes as returns


class Source(NamedTuple):
    """
    The message that a shape shows, and the fields with other sources.

    *also* names a second message that the same fields may come from.
    """

    message: str = ""
    leaves: Mapping[str, str] = MappingProxyType({})
    also: str = ""


EVENT_TIME: Final = "Event.occurred_at"

# Top-level fields with the same source in all bodies.
TOP: Final[Mapping[str, str]] = {
    "event": "= the wire name",
    "api_version": "= the payload version",
    "event_id": "Event.event_id",
    "account_id": "Event.account_id",
    "occurred_at": EVENT_TIME,
    "sequence": "Event.sequence",
    "channel": "Event.channel",
}

_ORDER = {
    "order_id": "Order.id",
    "order_number": "Order.number",
    "order_reference": "Order.reference",
    "status": "OrderStatusChanged.to_status",
    "tracking_number": "Shipment.tracking_number",
    "carrier": "Shipment.carrier",
    "shipping_method": "Shipment.shipping_method",
}
_ORDER_V2 = {
    **_ORDER,
    "shipped_date": "Shipment.shipped_at",
    "total": "OrderTotals.subtotal",
    "shipping_cost": "OrderTotals.shipping",
}
_RETURN = {
    "return_id": "ReturnOrder.id",
    "return_type": "ReturnOrder.type",
    "order_id": "OrderReference.id",
    "order_number": "OrderReference.number",
    "order_reference": "OrderReference.reference",
    "exchange_order_id": "ExchangeOrder.id",
    "exchange_order_number": "ExchangeOrder.number",
    "date": EVENT_TIME,
    "created_date": "ReturnOrder.created_at",
    "received_date": "ReturnOrder.received_at",
    "tracking_number": "ReturnLabel.tracking_number",
    "carrier": "ReturnLabel.carrier",
}
_REPLENISHMENT = {
    "replenishment_id": "Replenishment.id",
    "expected_delivery_date": "Replenishment.expected_on",
    "created_date": "Replenishment.created_at",
    "received_date": "Receipt.received_at",
    "date": EVENT_TIME,
}
_CORRECTION = {
    "quantity": "InventoryCorrected.new_quantity",
    "user": "Actor.name",
    "source": "Event.source",
    "timestamp": EVENT_TIME,
    "id": "InventoryCorrected.correction_id",
}
_TAKEN = {"quantity": "PackageItem.quantity", "shipped_date": "Shipment.shipped_at"}
_NOT_SENT = "= null, since the items have not left"

SOURCES: Final[Mapping[type[Struct], Source]] = {
    money.Price: Source("Money", {"amount": "Money.units", "currency": "Money.currency_code"}),
    # orders
    order_v1.OrderV1: Source("", {**_ORDER, "date": EVENT_TIME}),
    order_v2_shapes.AddressV2: Source("Address"),
    order_v2_shapes.CustomerV2: Source("Customer"),
    order_v2_shapes.ItemV2: Source("OrderItem"),
    order_v2_shapes.OrderV2: Source("", _ORDER_V2),
    order_v2_shapes.OrderDatedV2: Source("", {**_ORDER_V2, "status_date": EVENT_TIME}),
    order_v2_shapes.OrderStatusChangedV2: Source(
        "",
        {
            **_ORDER_V2,
            "previous_status": "OrderStatusChanged.from_status",
            "status_date": EVENT_TIME,
        },
    ),
    order_v2_shapes.OrderCanceledV2: Source(
        "OrderStatusChanged", {**_ORDER_V2, "canceled_date": EVENT_TIME}
    ),
    order_v2_shapes.DividedOrderV2: Source(
        "", {"order_id": "OrderReference.id", "order_number": "OrderReference.number"}
    ),
    order_v2_shapes.OrderDividedV2: Source("", {**_ORDER_V2, "divided_date": EVENT_TIME}),
    order_v2_shapes.OrderUpdatedV2: Source(
        "",
        {
            **_ORDER_V2,
            "updated_date": EVENT_TIME,
            "updated_fields": "OrderUpdated.changed_fields",
            "user": "Actor.name",
        },
    ),
    order_v2_shapes.OrderSentV2: Source(
        "",
        {
            **_ORDER_V2,
            "sent_date": EVENT_TIME,
            "sent_to": "OrderSentToFulfillment.destination",
        },
    ),
    order_v3_shapes.StoreV3: Source("Store", {"channel": "Order.channel"}),
    order_v3_shapes.CustomerV3: Source("Customer"),
    order_v3_shapes.AddressV3: Source("Address"),
    order_v3_shapes.ItemV3: Source("OrderItem"),
    order_v3_shapes.WeightV3: Source("Weight"),
    order_v3_shapes.DimensionsV3: Source("Dimensions"),
    order_v3_shapes.PackageItemV3: Source("PackageItem"),
    order_v3_shapes.PackageV3: Source("Package"),
    order_v3_shapes.ShipmentV3: Source("Shipment"),
    order_v3_shapes.TotalsV3: Source("OrderTotals"),
    order_v3_shapes.OrderV3: Source("Order"),
    order_v3_shapes.OrderReferenceV3: Source("OrderReference"),
    order_v3_shapes.ChangeV3: Source(
        "OrderStatusChanged",
        {
            "previous_status": "OrderStatusChanged.from_status",
            "updated_fields": "OrderUpdated.changed_fields",
            "sent_to": "OrderSentToFulfillment.destination",
            "external_reference": "OrderSentToFulfillment.external_reference",
            "user": "Actor.name",
        },
    ),
    order_v3_shapes.OrderDataV3: Source(),
    order_v3_shapes.OrderBodyV3: Source("", {"order_id": "Order.id"}),
    # items of orders
    items_shapes.ItemV1: Source("ItemChange", also="OrderItem"),
    items_shapes.ItemsV1: Source("", {**_ORDER, "date": EVENT_TIME}),
    items_shapes.ItemV2: Source("ItemChange", also="OrderItem"),
    items_shapes.ShippedItemsV2: Source(
        "", {**_ORDER, "status": "Order.status", "shipped_date": "Shipment.shipped_at"}
    ),
    items_shapes.PendingItemsV2: Source(
        "",
        {
            **_ORDER,
            "status": "Order.status",
            "pending_date": EVENT_TIME,
            "tracking_number": _NOT_SENT,
            "carrier": _NOT_SENT,
            "shipping_method": "Order.shipping_method",
        },
    ),
    items_shapes.ItemShipmentV2: Source("Shipment", _TAKEN),
    items_shapes.ItemShipmentV3: Source("Shipment", _TAKEN),
    order_summary.OrderSummaryV3: Source("Order"),
    items_shapes.ItemV3: Source("ItemChange", also="OrderItem"),
    items_shapes.ItemsDataV3: Source("OrderItemsStatusChanged"),
    items_shapes.ItemsBodyV3: Source("", {"order_id": "Order.id"}),
    # refunds
    refunds.RefundV1: Source(
        "OrderRefunded", {**_ORDER, "amount": "OrderRefunded.total", "date": EVENT_TIME}
    ),
    refunds.RefundCustomerV2: Source("Customer"),
    refunds.RefundItemV2: Source("RefundItem", {"amount": "RefundItem.subtotal"}),
    refunds.RefundV2: Source(
        "OrderRefunded",
        {
            **_ORDER,
            "status": "Order.status",
            "refund_date": EVENT_TIME,
            "refund_type": "OrderRefunded.type",
            "shipping_refund": "OrderRefunded.shipping",
            "tax_refund": "OrderRefunded.tax",
            "refund_total": "OrderRefunded.total",
            "currency": "Money.currency_code",
            "user": "Actor.name",
        },
    ),
    refunds.RefundItemV3: Source("RefundItem"),
    refunds.RefundPartV3: Source(
        "OrderRefunded", {"id": "OrderRefunded.refund_id", "user": "Actor.name"}
    ),
    refunds.RefundDataV3: Source(),
    refunds.RefundBodyV3: Source("", {"order_id": "Order.id"}),
    # inventory
    corrections.CorrectionV1: Source("InventoryCorrected", _CORRECTION),
    corrections.CorrectionV2: Source("InventoryCorrected", _CORRECTION),
    corrections.CorrectionLineV3: Source("InventoryCorrected", _CORRECTION),
    corrections.CorrectionDataV3: Source(),
    corrections.CorrectionBodyV3: Source("InventoryCorrected"),
    mirror.MirrorV1: Source(
        "InventoryLevel",
        {"quantity": "InventoryLevel.available", "timestamp": "InventoryLevel.updated_at"},
    ),
    mirror.MirrorItemV2: Source(
        "InventoryLevel",
        {
            f"quantity_{name}": f"InventoryLevel.{name}"
            for name in ("available", "in_warehouse", "reserved", "backorder", "hurt", "in_transit")
        },
    ),
    mirror.MirrorV2: Source("InventoryLevel", {"timestamp": "InventoryLevel.updated_at"}),
    mirror.MirrorPartV3: Source("", {"number": "= 1", "of": "= 1, since a body has one SKU"}),
    mirror.LevelV3: Source("InventoryLevel", {"sequence": "Event.sequence"}),
    mirror.MirrorDataV3: Source(
        "InventoryLevelsChanged", {"mode": "= delta, since only what changed is sent"}
    ),
    mirror.MirrorBodyV3: Source("InventoryLevel"),
    # replenishments
    replenishments.ReplenishmentV1: Source("Replenishment", _REPLENISHMENT),
    replenishments.ReplenishmentItemV2: Source(
        "ReplenishmentItem",
        {name: f"ReceiptItem.{name}" for name in ("bin", "lpn", "lot", "expiration_date", "uom")},
    ),
    replenishments.ReplenishmentV2: Source("Replenishment", _REPLENISHMENT),
    replenishments.SupplierV3: Source("", {"name": "Replenishment.supplier_name"}),
    replenishments.ReplenishmentItemV3: Source(
        "ReplenishmentItem",
        {
            "quantity_received_total": "ReplenishmentItem.quantity_received",
            "quantity_hurt_total": "ReplenishmentItem.quantity_hurt",
        },
    ),
    replenishments.ReplenishmentV3: Source("Replenishment"),
    replenishments.ReceiptItemV3: Source("ReceiptItem"),
    replenishments.ReceiptV3: Source("Receipt"),
    replenishments.ReplenishmentDataV3: Source(),
    replenishments.ReplenishmentBodyV3: Source("", _REPLENISHMENT),
    # exchanges and other returns
    returns.ReturnV1: Source("ReturnOrder", _RETURN),
    returns.ExchangeV1: Source("ReturnOrder", _RETURN),
    returns.ReturnCustomerV2: Source("Customer"),
    returns.ReturnItemV2: Source(
        "ReturnItem",
        {
            "quantity": "= what was announced, else what came",
            "quantity_good_expected": "ReturnItem.expected_good",
            "quantity_hurt_expected": "ReturnItem.expected_hurt",
            "quantity_good": "ReturnItem.received_good",
            "quantity_hurt": "ReturnItem.received_hurt",
        },
    ),
    returns.ReturnV2: Source("ReturnOrder", _RETURN),
    returns.ExchangeItemV2: Source("ExchangeItem"),
    returns.ExchangeOrderV2: Source(
        "ExchangeOrder", {"order_id": "ExchangeOrder.id", "order_number": "ExchangeOrder.number"}
    ),
    returns.ExchangeV2: Source("ReturnOrder", _RETURN),
    returns.ReturnLabelV3: Source("ReturnLabel"),
    returns.CountV3: Source(
        "", {"good": "ReturnItem.expected_good", "hurt": "ReturnItem.expected_hurt"}
    ),
    returns.ReturnItemV3: Source("ReturnItem"),
    returns.ReturnPartV3: Source("ReturnOrder"),
    returns.ExchangeItemV3: Source("ExchangeItem"),
    returns.ExchangeOrderV3: Source("ExchangeOrder"),
    returns.ReturnDataV3: Source(),
    returns.ReturnBodyV3: Source("", _RETURN),
    # webhooks
    webhooks.EndpointV3: Source(
        "EndpointStateChanged",
        {
            "event_type": "EndpointStateChanged.subscribed_event_type",
            "failing_for_seconds": "EndpointStateChanged.failing_for",
        },
    ),
    webhooks.EndpointDataV3: Source(),
    webhooks.EndpointBodyV3: Source("EndpointStateChanged"),
}

# Fields of the contract that no body shows, with the reason.
NOT_SHOWN: Final[Mapping[str, str]] = {
    "Actor.kind": "the name identifies the actor",
    "Event.warehouses": "it selects the receivers of the event",
    "Money.nanos": "shown together with the units",
}

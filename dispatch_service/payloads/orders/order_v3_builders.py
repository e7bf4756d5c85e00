"""
Builders of version 3 of the payloads about a whole order.
"""

from typing import Any

from google.type.decimal_pb2 import Decimal

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import (
    FULFILLMENT_TYPES,
    enum_string,
)
from dispatch_service.payloads.core.envelope import envelope
from dispatch_service.payloads.core.money import optional_price
from dispatch_service.payloads.core.presence import optional_number
from dispatch_service.payloads.core.times import optional_instant
from dispatch_service.payloads.orders import order_v3_shapes as shapes
from dispatch_service.payloads.orders.event_types import SHIPPED, UNSHIPPED
from dispatch_service.payloads.orders.values import OrderChange, status_after
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import OrderStatusChanged, OrderUpdated
from shipedge.webhooks.events.v1.order_pb2 import (
    Address,
    Customer,
    Dimensions,
    Order,
    OrderItem,
    OrderTotals,
    Package,
    Shipment,
    Store,
)
from shipedge.webhooks.events.v1.states_pb2 import ORDER_STATUS_DIVIDED
from shipedge.webhooks.order_statuses import ORDER_STATUSES


def customer_of(customer: Customer) -> shapes.CustomerV3:
    """
    Build a customer; unknown values are None.
    """
    return shapes.CustomerV3(
        name=customer.name or None, email=customer.email or None, phone=customer.phone or None
    )


def _address(address: Address) -> shapes.AddressV3:
    return shapes.AddressV3(
        name=address.name or None,
        company=address.company or None,
        address1=address.address1 or None,
        address2=address.address2 or None,
        city=address.city or None,
        state=address.state or None,
        zip=address.zip or None,
        country=address.country or None,
    )


def _store(store: Store) -> shapes.StoreV3:
    return shapes.StoreV3(
        id=store.id or None, name=store.name or None, channel=store.channel or None
    )


def _item(item: OrderItem) -> shapes.ItemV3:
    return shapes.ItemV3(
        line_id=item.line_id or None,
        sku=item.sku,
        description=item.description or None,
        quantity=item.quantity,
        quantity_shipped=optional_number(item, "quantity_shipped"),
        unit_price=optional_price(item, "unit_price"),
    )


def _digits(decimal: Decimal) -> str | None:
    return decimal.value or None


def _dimensions(dimensions: Dimensions) -> shapes.DimensionsV3:
    return shapes.DimensionsV3(
        length=_digits(dimensions.length),
        width=_digits(dimensions.width),
        height=_digits(dimensions.height),
        unit=dimensions.unit or None,
    )


def _package(package: Package) -> shapes.PackageV3:
    weight = package.weight
    return shapes.PackageV3(
        number=package.number or None,
        tracking_number=package.tracking_number or None,
        weight=shapes.WeightV3(value=_digits(weight.value), unit=weight.unit or None)
        if package.HasField("weight")
        else None,
        dimensions=_dimensions(package.dimensions) if package.HasField("dimensions") else None,
        items=[
            shapes.PackageItemV3(
                line_id=item.line_id or None,
                sku=item.sku or None,
                quantity=optional_number(item, "quantity"),
                lot=item.lot or None,
                serial_numbers=list(item.serial_numbers),
            )
            for item in package.items
        ],
    )


def _shipment(shipment: Shipment) -> shapes.ShipmentV3:
    return shapes.ShipmentV3(
        id=shipment.id or None,
        shipped_at=optional_instant(shipment, "shipped_at"),
        warehouse=shipment.warehouse or None,
        carrier=shipment.carrier or None,
        shipping_method=shipment.shipping_method or None,
        tracking_number=shipment.tracking_number or None,
        tracking_url=shipment.tracking_url or None,
        cost=optional_price(shipment, "cost"),
        packages=[_package(package) for package in shipment.packages],
    )


def _totals(totals: OrderTotals) -> shapes.TotalsV3:
    return shapes.TotalsV3(
        subtotal=optional_price(totals, "subtotal"),
        shipping=optional_price(totals, "shipping"),
        tax=optional_price(totals, "tax"),
        discount=optional_price(totals, "discount"),
        total=optional_price(totals, "total"),
    )


def _keys(order: Order, status: str | None) -> dict[str, Any]:
    """
    Build the keys that the orders of all event types have.
    """
    return {
        "id": order.id,
        "number": order.number or None,
        "reference": order.reference or None,
        "type": order.type or None,
        "store": _store(order.store) if order.HasField("store") else None,
        "status": status,
        "fulfillment_type": enum_string(
            FULFILLMENT_TYPES, order.fulfillment_type, order.fulfillment_label
        ),
        "created_at": optional_instant(order, "created_at"),
        "updated_at": optional_instant(order, "updated_at"),
        "customer": customer_of(order.customer),
        "shipping_address": _address(order.shipping_address),
        "items": [_item(item) for item in order.items],
        "shipments": [_shipment(shipment) for shipment in order.shipments],
        "totals": _totals(order.totals),
    }


def _divided(change: OrderStatusChanged) -> list[shapes.DividedOrderV3] | None:
    if change.to_status != ORDER_STATUS_DIVIDED:
        return None
    return [
        shapes.DividedOrderV3(
            id=child.id or None, number=child.number or None, reference=child.reference or None
        )
        for child in change.child_orders
    ]


def _change(event: Event, change: OrderChange) -> shapes.ChangeV3:
    """
    Build the change of the order; keys that its domain event does not have are None.
    """
    values: dict[str, Any] = dict.fromkeys(shapes.ChangeV3.__struct_fields__)
    values["user"] = event.actor.name or None
    if isinstance(change, OrderStatusChanged):
        values["previous_status"] = enum_string(
            ORDER_STATUSES, change.from_status, change.from_label
        )
        values["cancel_reason"] = change.cancel_reason or None
        values["divided_orders"] = _divided(change)
    elif isinstance(change, OrderUpdated):
        values["updated_fields"] = list(change.changed_fields)
    else:
        values["sent_to"] = enum_string(
            FULFILLMENT_TYPES, change.destination, change.destination_label
        )
        values["external_reference"] = change.external_reference or None
    return shapes.ChangeV3(**values)


def shipped(event: Event, change: OrderStatusChanged, wire_name: str) -> shapes.OrderBodyV3:
    """
    Build the body of an order that is shipped.
    """
    order = shapes.OrderV3(**_keys(change.order, status_after(change)))
    return shapes.OrderBodyV3(
        **envelope(event, wire_name),
        order_id=change.order.id,
        data=shapes.OrderDataV3(order=order, change=_change(event, change)),
    )


def unshipped(event: Event, change: OrderChange, wire_name: str) -> shapes.UnshippedOrderBodyV3:
    """
    Build the body of an order that may not be shipped yet.
    """
    order = shapes.UnshippedOrderV3(
        **_keys(change.order, status_after(change)),
        shipping_method=change.order.shipping_method or None,
    )
    return shapes.UnshippedOrderBodyV3(
        **envelope(event, wire_name),
        order_id=change.order.id,
        data=shapes.UnshippedOrderDataV3(order=order, change=_change(event, change)),
    )


BUILDERS: dict[Key, Builder] = {
    **{(event_type, "v3"): shipped for event_type in SHIPPED},
    **{(event_type, "v3"): unshipped for event_type in UNSHIPPED},
}

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
from dispatch_service.payloads.core.times import optional_date, optional_instant
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
    OrderReference,
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


def _store(store: Store, channel: str) -> shapes.StoreV3:
    return shapes.StoreV3(id=store.id or None, name=store.name or None, channel=channel or None)


def _item(item: OrderItem) -> shapes.ItemV3:
    return shapes.ItemV3(
        line_id=item.line_id or None,
        sku=item.sku,
        description=item.description or None,
        quantity=item.quantity,
        quantity_shipped=optional_number(item, "quantity_shipped"),
        unit_price=optional_price(item, "unit_price"),
        lot=item.lot or None,
        expiration_date=optional_date(item, "expiration_date"),
        serial_numbers=item.serial_numbers[:],
        channel_line_id=item.channel_line_id or None,
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
                serial_numbers=item.serial_numbers[:],
                expiration_date=optional_date(item, "expiration_date"),
            )
            for item in package.items
        ],
    )


def shipment_of(shipment: Shipment) -> shapes.ShipmentV3:
    """
    Build a shipment with its packages; unknown values are None.
    """
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


def _order(order: Order, status: str | None) -> shapes.OrderV3:
    return shapes.OrderV3(
        id=order.id,
        number=order.number or None,
        reference=order.reference or None,
        type=order.type or None,
        store=_store(order.store, order.channel) if order.HasField("store") else None,
        status=status,
        fulfillment_type=enum_string(
            FULFILLMENT_TYPES, order.fulfillment_type, order.fulfillment_label
        ),
        created_at=optional_instant(order, "created_at"),
        updated_at=optional_instant(order, "updated_at"),
        customer=customer_of(order.customer),
        shipping_address=_address(order.shipping_address),
        items=[_item(item) for item in order.items],
        shipments=[shipment_of(shipment) for shipment in order.shipments],
        totals=_totals(order.totals),
        shipping_method=order.shipping_method or None,
        carrier=order.carrier or None,
        channel=order.channel or None,
        channel_order_id=order.channel_order_id or None,
    )


def reference_of(order: OrderReference) -> shapes.OrderReferenceV3:
    """
    Build a reference to another order; unknown values are None.
    """
    return shapes.OrderReferenceV3(
        id=order.id or None,
        number=order.number or None,
        reference=order.reference or None,
        fulfillment_type=enum_string(
            FULFILLMENT_TYPES, order.fulfillment_type, order.fulfillment_label
        ),
    )


def _divided(change: OrderStatusChanged) -> list[shapes.OrderReferenceV3] | None:
    if change.to_status != ORDER_STATUS_DIVIDED:
        return None
    return [reference_of(child) for child in change.child_orders]


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


def order_body(event: Event, change: OrderChange, topic: str) -> shapes.OrderBodyV3:
    """
    Build the body of all event types about a whole order.
    """
    order = _order(change.order, status_after(change))
    return shapes.OrderBodyV3(
        **envelope(event, topic, change.order.channel),
        order_id=change.order.id,
        data=shapes.OrderDataV3(order=order, change=_change(event, change)),
    )


BUILDERS: dict[Key, Builder] = {
    (event_type, "v3"): order_body for event_type in (*SHIPPED, *UNSHIPPED)
}

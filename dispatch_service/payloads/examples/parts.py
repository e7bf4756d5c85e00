"""
Values and messages that several example events use.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money

from shipedge.webhooks.events.v1.order_pb2 import (
    Address,
    Customer,
    Dimensions,
    Order,
    OrderItem,
    OrderTotals,
    Package,
    PackageItem,
    Shipment,
    Store,
    Weight,
)
from shipedge.webhooks.events.v1.states_pb2 import (
    FULFILLMENT_TYPE_AMAZON_FBA,
    FULFILLMENT_TYPE_WFS,
    FulfillmentType,
    OrderStatus,
)

CREATED: Final = "2024-01-14T18:02:11Z"

_CHANNELS: Final[Mapping[FulfillmentType.ValueType, str]] = {
    FULFILLMENT_TYPE_AMAZON_FBA: "amazon",
    FULFILLMENT_TYPE_WFS: "walmart",
}


def at(text: str) -> Timestamp:
    """
    Read a time in RFC 3339.
    """
    return Timestamp(seconds=int(datetime.fromisoformat(text).timestamp()))


def dollars(cents: int) -> Money:
    """
    Make an amount in US dollars.
    """
    units, rest = divmod(cents, 100)
    return Money(currency_code="USD", units=units, nanos=rest * 10_000_000)


def customer() -> Customer:
    return Customer(name="John Doe", email="customer@example.com")


def order(
    status: OrderStatus.ValueType, updated: str, fulfilled_by: FulfillmentType.ValueType
) -> Order:
    """
    Make an order that is not shipped yet.
    """
    return Order(
        id=12345,
        number="ORD-001",
        reference="REF-123",
        type="retail",
        store=Store(id=12, name="Main store"),
        channel=_CHANNELS.get(fulfilled_by, "shopify"),
        channel_order_id="450789469",
        status=status,
        fulfillment_type=fulfilled_by,
        created_at=at(CREATED),
        updated_at=at(updated),
        customer=customer(),
        shipping_address=Address(
            name="John Doe",
            address1="123 Main St",
            city="Los Angeles",
            state="CA",
            zip="90001",
            country="USA",
        ),
        items=[
            OrderItem(
                line_id="1",
                sku="PROD-001",
                description="Product Description",
                quantity=2,
                quantity_shipped=0,
                channel_line_id="466157049",
                unit_price=dollars(2999),
            )
        ],
        carrier="UPS",
        shipping_method="Ground",
        totals=OrderTotals(
            subtotal=dollars(5998),
            shipping=dollars(599),
            tax=dollars(0),
            discount=dollars(0),
            total=dollars(6597),
        ),
    )


def shipment(shipped: str, warehouse: str) -> Shipment:
    """
    Make a shipment of the whole order in one package.
    """
    package = Package(
        number=1,
        tracking_number="1Z999AA10123456784",
        weight=Weight(value=Decimal(value="2.40"), unit="lb"),
        dimensions=Dimensions(
            length=Decimal(value="10"),
            width=Decimal(value="8"),
            height=Decimal(value="4"),
            unit="in",
        ),
        items=[PackageItem(line_id="1", sku="PROD-001", quantity=2)],
    )
    return Shipment(
        id="12345-1",
        shipped_at=at(shipped),
        warehouse=warehouse,
        carrier="UPS",
        shipping_method="Ground",
        tracking_number="1Z999AA10123456784",
        cost=dollars(599),
        packages=[package],
    )

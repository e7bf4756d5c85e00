"""
Random domain events that pass the publishing checks.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money
from hypothesis import strategies as st

from dispatch_service.payloads.core.money import minor_units
from shipedge.webhooks.events.v1 import order_pb2, states_pb2

Strategy = st.SearchStrategy[Any]

_OTHER = 99

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
labels = texts.filter(bool)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
ids = st.integers(1, 2**53 - 1)
optional_ids = st.integers(0, 2**53 - 1)
counts = st.one_of(st.integers(0, 50), st.integers(0, 2**53 - 1))
signed_counts = st.one_of(st.integers(-50, 50), st.integers(1 - 2**53, 2**53 - 1))
numbers = st.integers(0, 2**31 - 1)
moments = st.builds(
    Timestamp, seconds=st.integers(1, 253_402_300_799), nanos=st.integers(0, 999_999_999)
)
# As fields have them: a time, none, or one that was never set.
times = st.one_of(
    st.none(), moments, st.builds(Timestamp, seconds=st.sampled_from([-62_135_596_800, 0]))
)
durations = st.builds(Duration, seconds=st.integers(0, 10**9))
dates = st.one_of(
    st.none(),
    st.sampled_from([Date(), Date(year=1, month=1, day=1)]),
    st.dates().map(lambda day: Date(year=day.year, month=day.month, day=day.day)),
)
decimals = st.decimals(0, 10**6, places=3).map(lambda number: Decimal(value=str(number)))
currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF", "XXX"])


def maybe(strategy: Strategy) -> Strategy:
    """
    Leave a field unset at times.
    """
    return st.one_of(st.none(), strategy)


def some(strategy: Strategy, *, least: int = 0) -> Strategy:
    """
    Make a short list.
    """
    return st.lists(strategy, min_size=least, max_size=3)


@st.composite
def amounts(draw: st.DrawFn, currency: str, *, signed: bool = False) -> Money:
    """
    Make an amount with no more digits than *currency* has.
    """
    step = 10 ** (9 - minor_units(currency))
    units = draw(st.one_of(st.integers(0, 100), st.integers(0, 2**63 - 1)))
    nanos = draw(st.integers(0, (10**9 - 1) // step)) * step
    sign = draw(st.sampled_from([1, -1])) if signed else 1
    return Money(currency_code=currency, units=sign * units, nanos=sign * nanos)


@st.composite
def unit_prices(draw: st.DrawFn, currency: str) -> Money:
    """
    Make a price of one piece, to the millionth.
    """
    millionths = draw(st.one_of(st.integers(0, 10**4), st.integers(0, 10**12)))
    units, rest = divmod(millionths, 10**6)
    return Money(currency_code=currency, units=units, nanos=rest * 1000)


@st.composite
def states(
    draw: st.DrawFn, enum: Any, field: str, label: str = "", *, known: bool = False
) -> dict[str, Any]:
    """
    Choose a value of *enum* for *field*, with its *label* where it is `OTHER`.
    """
    value = draw(st.sampled_from([number for number in enum.values() if number or not known]))
    return {field: value, label: draw(labels)} if value == _OTHER else {field: value}


@st.composite
def messages(
    draw: st.DrawFn, message: Callable[..., Any], /, *groups: Strategy, **fields: Strategy
) -> Any:
    """
    Make a *message* of its *fields* and of *groups* that set several at once.
    """
    values = {name: draw(strategy) for name, strategy in fields.items()}
    for group in groups:
        values.update(draw(group))
    return message(**values)


customers = messages(order_pb2.Customer, name=texts, email=texts, phone=texts)
addresses = messages(
    order_pb2.Address,
    name=texts,
    company=texts,
    address1=texts,
    address2=texts,
    city=texts,
    state=texts,
    zip=texts,
    country=texts,
)
stores = messages(order_pb2.Store, id=optional_ids, name=texts)
weights = messages(order_pb2.Weight, value=maybe(decimals), unit=texts)
dimensions = messages(
    order_pb2.Dimensions,
    length=maybe(decimals),
    width=maybe(decimals),
    height=maybe(decimals),
    unit=texts,
)
package_items = messages(
    order_pb2.PackageItem,
    line_id=texts,
    sku=texts,
    quantity=maybe(counts),
    lot=texts,
    serial_numbers=some(texts),
)
packages = messages(
    order_pb2.Package,
    number=numbers,
    tracking_number=texts,
    weight=maybe(weights),
    dimensions=maybe(dimensions),
    items=some(package_items),
)
fulfillments = states(states_pb2.FulfillmentType, "fulfillment_type", "fulfillment_label")
order_references = messages(
    order_pb2.OrderReference, fulfillments, id=optional_ids, number=texts, reference=texts
)


def shipments(currency: str) -> Strategy:
    """
    Make a shipment with any number of packages.
    """
    return messages(
        order_pb2.Shipment,
        id=texts,
        shipped_at=times,
        warehouse=texts,
        carrier=texts,
        shipping_method=texts,
        tracking_number=texts,
        tracking_url=texts,
        cost=maybe(amounts(currency)),
        packages=some(packages),
    )


def orders(currency: str, status: Strategy) -> Strategy:
    """
    Make an order whose status comes from *status*.
    """
    items = messages(
        order_pb2.OrderItem,
        line_id=texts,
        sku=labels,
        description=texts,
        quantity=counts,
        quantity_shipped=maybe(counts),
        unit_price=maybe(unit_prices(currency)),
        lot=texts,
        expiration_date=dates,
        serial_numbers=some(texts),
        channel_line_id=texts,
    )
    totals = messages(
        order_pb2.OrderTotals,
        subtotal=maybe(amounts(currency)),
        shipping=maybe(amounts(currency)),
        tax=maybe(amounts(currency)),
        discount=maybe(amounts(currency, signed=True)),
        total=maybe(amounts(currency)),
    )
    return messages(
        order_pb2.Order,
        status,
        fulfillments,
        id=ids,
        number=texts,
        reference=texts,
        type=texts,
        store=maybe(stores),
        created_at=times,
        updated_at=times,
        customer=maybe(customers),
        shipping_address=maybe(addresses),
        items=some(items),
        carrier=texts,
        shipping_method=texts,
        shipments=some(shipments(currency)),
        totals=maybe(totals),
        channel=texts,
        channel_order_id=texts,
    )


any_status = states(states_pb2.OrderStatus, "status", "status_label")

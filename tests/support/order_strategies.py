"""
Random payloads of the events about orders.
"""

from hypothesis import strategies as st

from shipedge.webhooks.events.v1 import order_events_pb2, states_pb2
from tests.support.strategies import (
    Strategy,
    amounts,
    any_status,
    counts,
    dates,
    ids,
    labels,
    maybe,
    messages,
    optional_ids,
    order_references,
    orders,
    shipments,
    some,
    states,
    texts,
)


def status_changes(currency: str) -> Strategy:
    """
    Make a change of an order's status; the order leaves its own out.
    """
    return messages(
        order_events_pb2.OrderStatusChanged,
        states(states_pb2.OrderStatus, "from_status", "from_label"),
        states(states_pb2.OrderStatus, "to_status", "to_label", known=True),
        order=orders(currency, st.just({})),
        child_orders=some(order_references),
        cancel_reason=texts,
    )


def items_status_changes(currency: str) -> Strategy:
    """
    Make a change of some items.
    """
    item = messages(
        order_events_pb2.ItemChange,
        line_id=texts,
        sku=labels,
        description=texts,
        quantity=counts,
        quantity_ordered=maybe(counts),
        quantity_remaining=maybe(counts),
        lot=texts,
        expiration_date=dates,
        serial_numbers=some(texts),
        channel_line_id=texts,
    )
    return messages(
        order_events_pb2.OrderItemsStatusChanged,
        states(states_pb2.ItemStatus, "item_status", known=True),
        order=orders(currency, any_status),
        items=some(item, least=1),
        shipment=maybe(shipments(currency)),
        complete=maybe(st.booleans()),
    )


def updates(currency: str) -> Strategy:
    """
    Make an edit of an order.
    """
    return messages(
        order_events_pb2.OrderUpdated,
        order=orders(currency, any_status),
        changed_fields=some(texts),
    )


def sendings(currency: str) -> Strategy:
    """
    Make an order that is handed to whoever fulfils it.
    """
    return messages(
        order_events_pb2.OrderSentToFulfillment,
        states(states_pb2.FulfillmentType, "destination", "destination_label", known=True),
        order=orders(currency, any_status),
        external_reference=texts,
    )


def refunds(currency: str) -> Strategy:
    """
    Make a refund.
    """
    item = messages(
        order_events_pb2.RefundItem,
        states(order_events_pb2.Restock, "restock"),
        line_id=texts,
        sku=labels,
        description=texts,
        quantity=maybe(counts),
        subtotal=maybe(amounts(currency)),
        tax=maybe(amounts(currency)),
    )
    return messages(
        order_events_pb2.OrderRefunded,
        states(order_events_pb2.RefundType, "type"),
        order=orders(currency, any_status),
        refund_id=ids,
        reason=texts,
        return_id=optional_ids,
        rma_number=texts,
        items=some(item),
        shipping=maybe(amounts(currency)),
        tax=maybe(amounts(currency)),
        total=amounts(currency),
    )

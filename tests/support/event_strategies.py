"""
Random events of every kind: the payloads of `strategies` in their envelopes.
"""

from functools import cache

from hypothesis import strategies as st

from shipedge.webhooks.events.v1 import (
    endpoint_pb2,
    event_pb2,
    failure_kind_pb2,
    inventory_pb2,
    replenishment_pb2,
    return_order_pb2,
    states_pb2,
)
from tests.support.order_strategies import (
    items_status_changes,
    refunds,
    sendings,
    status_changes,
    updates,
)
from tests.support.strategies import (
    Strategy,
    any_status,
    counts,
    currencies,
    customers,
    dates,
    durations,
    ids,
    labels,
    maybe,
    messages,
    moments,
    names,
    numbers,
    optional_ids,
    order_references,
    signed_counts,
    some,
    states,
    texts,
    times,
)


@st.composite
def corrections(draw: st.DrawFn) -> inventory_pb2.InventoryCorrected:
    """
    Make a line of a correction whose adjustment fits.
    """
    half = st.one_of(st.integers(-50, 50), st.integers(-(2**52) + 1, 2**52 - 1))
    before, after = draw(half), draw(half)
    correction: inventory_pb2.InventoryCorrected = draw(
        messages(
            inventory_pb2.InventoryCorrected,
            states(inventory_pb2.CorrectionType, "type"),
            states(inventory_pb2.StockCondition, "condition"),
            correction_id=ids,
            line=numbers,
            sku=labels,
            warehouse=texts,
            location=texts,
            bin=texts,
            lot=texts,
            expiration_date=dates,
            reason=texts,
        )
    )
    correction.previous_quantity, correction.new_quantity = before, after
    correction.adjustment = after - before
    return correction


levels = messages(
    inventory_pb2.InventoryLevel,
    sku=labels,
    upc=texts,
    warehouse=texts,
    available=signed_counts,
    in_warehouse=maybe(signed_counts),
    reserved=maybe(signed_counts),
    backorder=maybe(signed_counts),
    hurt=maybe(signed_counts),
    in_transit=maybe(signed_counts),
    updated_at=times,
)
level_changes = messages(
    inventory_pb2.InventoryLevelsChanged,
    states(inventory_pb2.LevelCause, "cause", "cause_label"),
    levels=st.lists(levels, min_size=1, max_size=1),
)
replenishment_items = messages(
    replenishment_pb2.ReplenishmentItem,
    sku=labels,
    description=texts,
    quantity_requested=maybe(counts),
    quantity_received=maybe(signed_counts),
    quantity_hurt=maybe(signed_counts),
    uom=texts,
)
replenishments = messages(
    replenishment_pb2.Replenishment,
    states(replenishment_pb2.ReplenishmentStatus, "status", "status_label"),
    id=ids,
    po_number=texts,
    supplier_name=texts,
    warehouse=texts,
    tracking_number=texts,
    expected_on=dates,
    created_at=times,
    comments=texts,
    items=some(replenishment_items),
)
receipt_items = messages(
    replenishment_pb2.ReceiptItem,
    sku=labels,
    quantity_good=maybe(signed_counts),
    quantity_hurt=maybe(signed_counts),
    bin=texts,
    lpn=texts,
    lot=texts,
    expiration_date=dates,
    uom=texts,
)
receipts = messages(
    replenishment_pb2.Receipt,
    id=texts,
    received_at=times,
    complete=maybe(st.booleans()),
    items=some(receipt_items),
)
exchange_orders = messages(
    return_order_pb2.ExchangeOrder,
    any_status,
    id=optional_ids,
    number=texts,
    released_at=times,
    items=some(
        messages(
            return_order_pb2.ExchangeItem,
            line_id=texts,
            sku=labels,
            description=texts,
            quantity=maybe(counts),
        )
    ),
)
return_items = messages(
    return_order_pb2.ReturnItem,
    line_id=texts,
    sku=labels,
    description=texts,
    expected_good=maybe(counts),
    expected_hurt=maybe(counts),
    received_good=maybe(signed_counts),
    received_hurt=maybe(signed_counts),
    reason=texts,
    bin=texts,
    lot=texts,
    serial_numbers=some(texts),
)
return_labels = messages(
    return_order_pb2.ReturnLabel, carrier=texts, tracking_number=texts, prepaid=maybe(st.booleans())
)
return_orders = messages(
    return_order_pb2.ReturnOrder,
    states(states_pb2.ReturnType, "type", known=True),
    states(return_order_pb2.ReturnStatus, "status", "status_label"),
    id=ids,
    rma_number=texts,
    created_at=times,
    received_at=times,
    warehouse=texts,
    comments=texts,
    label=maybe(return_labels),
    items=some(return_items),
    customer=maybe(customers),
    original_order=maybe(order_references),
    exchange_order=maybe(exchange_orders),
)
endpoint_changes = messages(
    endpoint_pb2.EndpointStateChanged,
    states(states_pb2.EndpointChange, "state"),
    states(failure_kind_pb2.FailureKind, "failure_kind"),
    subscription=labels,
    subscribed_event_type=texts,
    url=texts,
    failing_since=times,
    failed_attempts=counts,
    response_code=numbers,
    reason=texts,
    failing_for=maybe(durations),
)


@cache
def payloads(currency: str) -> dict[str, Strategy]:
    """
    Give the payloads that OMS services publish, by their field.
    """
    return {
        "order_status_changed": status_changes(currency),
        "order_items_status_changed": items_status_changes(currency),
        "order_updated": updates(currency),
        "order_sent_to_fulfillment": sendings(currency),
        "order_refunded": refunds(currency),
        "inventory_corrected": corrections(),
        "inventory_levels_changed": level_changes,
        "replenishment_initiated": messages(
            replenishment_pb2.ReplenishmentInitiated, replenishment=replenishments
        ),
        "replenishment_received": messages(
            replenishment_pb2.ReplenishmentReceived,
            replenishment=replenishments,
            receipt=receipts,
        ),
        "return_initiated": messages(return_order_pb2.ReturnInitiated, return_order=return_orders),
        "return_received": messages(return_order_pb2.ReturnReceived, return_order=return_orders),
    }


@cache
def _published(currency: str, field: str) -> Strategy:
    return _in_envelope(st.fixed_dictionaries({field: payloads(currency)[field]}))


def _in_envelope(payload: Strategy) -> Strategy:
    actors = messages(event_pb2.Actor, states(event_pb2.ActorKind, "kind"), name=texts)
    return messages(
        event_pb2.Event,
        states(states_pb2.EventSource, "source"),
        payload,
        event_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"),
        account_id=ids,
        warehouses=some(names),
        occurred_at=moments,
        sequence=optional_ids,
        channel=texts,
        actor=maybe(actors),
    )


@st.composite
def events(draw: st.DrawFn, kind: str = "") -> event_pb2.Event:
    """
    Make an event that OMS services may publish, all amounts in one currency.

    *kind* is the field of its payload; without one it may be any.
    """
    currency = draw(currencies)
    field = kind or draw(st.sampled_from(sorted(payloads(currency))))
    event: event_pb2.Event = draw(_published(currency, field))
    return event


system_events = _in_envelope(st.fixed_dictionaries({"endpoint_state_changed": endpoint_changes}))

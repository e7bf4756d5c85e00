"""
The warehouses that events name.
"""

import pytest
from hypothesis import given

from dispatch_service.payloads import CONTRACTS, example_event
from dispatch_service.payloads.core.warehouses import (
    most_named_in,
    named_in,
    warehouses_of,
    warehouses_with,
)
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.event_strategies import events
from tests.support.profiles import expensive


@pytest.mark.parametrize("event_type", sorted({name for name, _ in CONTRACTS}))
def test_bound_of_names(event_type: str) -> None:
    """
    No payload names more warehouses than its bound says, with any number of shipments.
    """
    event = example_event(event_type)
    field = event.WhichOneof("payload") or ""
    payload = getattr(event, field)
    order = getattr(payload, "order", None)
    if order is not None:
        order.shipments.add(warehouse="wh2")
        order.shipments.add(warehouse="wh3")
    if hasattr(payload, "shipment"):
        payload.shipment.warehouse = "wh4"

    assert len(named_in(field, payload)) <= most_named_in(field, payload)


@pytest.mark.slow
@expensive(few=25)
@given(events())
def test_bound_of_names_of_random_events(event: Event) -> None:
    """
    The bound holds for all events, and both ways of asking agree.
    """
    field = event.WhichOneof("payload") or ""
    payload = getattr(event, field)

    assert len(named_in(field, payload)) <= most_named_in(field, payload)
    assert warehouses_of(event) == warehouses_with(event, field, payload)

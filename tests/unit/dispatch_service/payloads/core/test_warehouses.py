"""
The warehouses that payloads name.
"""

from __future__ import annotations

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.payloads.core.warehouses import most_named, named_in
from shipedge.webhooks.catalogue import CATALOGUE

PUBLISHED = [name for name, it in CATALOGUE.event_types.items() if not it.system]


@pytest.mark.parametrize("event_type", PUBLISHED)
def test_bytes_bound_how_many_warehouses_are_named(event_type: str) -> None:
    """
    No payload names more than its bytes allow, also if it names some in lists.
    """
    event = example_event(event_type)
    field = event.WhichOneof("payload")
    assert field is not None
    payload = getattr(event, field)
    if hasattr(payload, "order"):
        for number in range(120):
            payload.order.shipments.add(warehouse=f"W{number}")
    if hasattr(payload, "levels"):
        for number in range(120):
            payload.levels.add(warehouse=f"W{number}")
    content = event.SerializeToString(deterministic=True)
    named = len(named_in(field, payload))
    assert named >= 1
    assert most_named(field, content) >= named

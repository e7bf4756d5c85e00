"""
The connection of an event is that of its resource.
"""

from __future__ import annotations

from itertools import product

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.routing.facts import resource_of
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.client.ordering import connection_of, ordering_key
from shipedge.webhooks.events.v1 import event_pb2

OFFERED = [name for name, it in CATALOGUE.event_types.items() if not it.system]


def test_keys_differ_as_the_resources_of_the_service_do() -> None:
    """
    Two examples have one key if the service orders them by one resource, and only then.
    """
    events = [example_event(name) for name in OFFERED]
    resources = [
        resource_of(kind, getattr(event, kind))
        for event in events
        if (kind := event.WhichOneof("payload"))
    ]
    assert len(resources) == len(OFFERED)
    for (one, first), (other, second) in product(zip(events, resources, strict=True), repeat=2):
        same = first == second and one.account_id == other.account_id
        assert (ordering_key(one) == ordering_key(other)) is same


@pytest.mark.parametrize("connections", [1, 4])
def test_resources_are_spread(connections: int) -> None:
    """
    Resources use all connections; an event that has no payload has one as well.
    """
    event = example_event("orders/shipped")
    used = set()
    for number in range(1, 100):
        event.order_status_changed.order.id = number
        used.add(connection_of(event, connections))

    assert used == set(range(connections))
    assert connection_of(event_pb2.Event(), connections) in used

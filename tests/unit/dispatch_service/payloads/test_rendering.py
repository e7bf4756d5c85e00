"""
Rendering, and the parts of a new payload version.
"""

from dataclasses import replace
from typing import Annotated

import msgspec
import pytest

from dispatch_service.payloads import CONTRACTS, example_event, render
from dispatch_service.payloads.core.field_types import Body, ResourceId, note
from dispatch_service.payloads.registry import BUILDERS, assemble
from dispatch_service.payloads.schemas import schema_for
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_events_pb2 import OrderStatusChanged

EVENT_TYPES = CATALOGUE.event_types


class OrderV4(Body, frozen=True, kw_only=True):
    """
    An order in a payload version that does not exist.
    """

    order_id: Annotated[ResourceId, note("The id of the order.")]
    parcels: Annotated[int, note("How many packages it went in.")]


def order_v4(event: Event, change: OrderStatusChanged, name: str) -> OrderV4:
    parcels = sum(len(shipment.packages) for shipment in change.order.shipments)
    return OrderV4(
        event=name, account_id=event.account_id, order_id=change.order.id, parcels=parcels
    )


def test_new_version_requires_a_builder_and_an_offer() -> None:
    """
    A new version requires one typed definition, one builder and one entry in the catalogue.
    """
    shipped = EVENT_TYPES["orders/shipped"]
    entry = replace(shipped, payload_versions=(*shipped.payload_versions, "v4"))
    event_types = {**EVENT_TYPES, "orders/shipped": entry}
    contracts = assemble(event_types, {**BUILDERS, ("orders/shipped", "v4"): order_v4})

    body = render(example_event("orders/shipped"), "orders/shipped", "v4", contracts)
    assert body == (b'{"event":"orders/shipped_v4","account_id":100,"order_id":12345,"parcels":1}')
    schema = schema_for(contracts["orders/shipped", "v4"])
    assert schema["$id"].endswith("/orders/shipped_v4.json")
    assert schema["properties"]["parcels"]["description"] == "How many packages it went in."


def test_offer_without_a_builder_is_an_error() -> None:
    """
    An offered version without a builder stops the service at start.
    """
    builders = {key: build for key, build in BUILDERS.items() if key != ("orders/refund", "v3")}

    with pytest.raises(ValueError, match="'orders/refund', 'v3'"):
        assemble(EVENT_TYPES, builders)


def test_builder_without_an_offer_is_an_error() -> None:
    """
    A builder without an offered version stops the service at start.
    """
    with pytest.raises(ValueError, match="'orders/shipped', 'v4'"):
        assemble(EVENT_TYPES, {**BUILDERS, ("orders/shipped", "v4"): order_v4})


@pytest.mark.parametrize(
    ("event_type", "payload_version"),
    [("orders/shipped", "v4"), ("orders/delivered", "v1"), ("webhooks/endpoint_failing", "v1")],
)
def test_unknown_version_cannot_be_rendered(event_type: str, payload_version: str) -> None:
    """
    A payload version that is not offered cannot be rendered.
    """
    with pytest.raises(LookupError, match=event_type):
        render(example_event("orders/shipped"), event_type, payload_version)


@pytest.mark.parametrize("event", [example_event("inventory/mirror"), Event()])
def test_event_of_another_type_is_refused(event: Event) -> None:
    """
    An event that does not raise the event type is refused.
    """
    with pytest.raises(ValueError, match="does not raise 'orders/shipped'"):
        render(event, "orders/shipped", "v2")


def test_topics_are_unique() -> None:
    """
    Wire names are unique; version 1 has no suffix.
    """
    assert CONTRACTS["orders/shipped", "v1"].topic == "orders/shipped"
    assert CONTRACTS["orders/shipped", "v2"].topic == "orders/shipped_v2"
    assert len({contract.topic for contract in CONTRACTS.values()}) == len(CONTRACTS)


def test_body_is_compact_utf_8() -> None:
    """
    A body is UTF-8 without white space between values.
    """
    event = example_event("orders/shipped")
    event.order_status_changed.order.customer.name = 'Jörg "J"\n\U0001f4e6\u2028'
    body = render(event, "orders/shipped", "v2")

    assert 'Jörg \\"J\\"\\n\U0001f4e6\u2028'.encode() in body
    assert body == msgspec.json.format(body, indent=-1)


def test_rendering_does_not_change_the_event() -> None:
    """
    Rendering does not change the event.
    """
    for event_type, payload_version in CONTRACTS:
        event = example_event(event_type)
        render(event, event_type, payload_version)

        assert event == example_event(event_type)

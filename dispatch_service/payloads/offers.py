"""
The event types of the catalogue with the payload versions on offer, read from
the options of the contract.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct
from shipedge.webhooks.events.v1 import catalogue_pb2
from shipedge.webhooks.events.v1.catalogue_pb2 import EventTypeRule
from shipedge.webhooks.events.v1.event_pb2 import Event

# Called with the event, its payload message and the wire name.
Builder: TypeAlias = Callable[[Event, Any, str], Struct]
Key: TypeAlias = tuple[str, str]


class Offer(NamedTuple):
    """
    An event type of the catalogue.
    """

    event_type: str
    title: str
    description: str
    payload_versions: tuple[str, ...]
    # The fields of `Event.payload` that raise it, in the contract's order.
    raised_by: tuple[str, ...]


class Contract(NamedTuple):
    """
    What one payload version of one event type looks like, and what makes it.
    """

    offer: Offer
    payload_version: str
    wire_name: str
    shape: type[Struct]
    build: Builder


def wire_name(event_type: str, payload_version: str) -> str:
    """
    Name a payload version as bodies do: `orders/shipped_v2`, without a
    suffix for version 1.
    """
    return event_type if payload_version == "v1" else f"{event_type}_{payload_version}"


def _rules() -> Iterator[tuple[str, EventTypeRule]]:
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields:
        if field.message_type is not None:
            options = field.message_type.GetOptions()
            yield from (
                (field.name, rule) for rule in options.Extensions[catalogue_pb2.event_types]
            )


def read_offers() -> Mapping[str, Offer]:
    """
    Read the event types from the options of the contract, in its order.

    The first rule of an event type describes it; a later one only adds the
    domain event that raises it too.
    """
    offers: dict[str, Offer] = {}
    for field, rule in _rules():
        offer = offers.get(rule.event_type) or Offer(
            rule.event_type, rule.title, rule.description, tuple(rule.payload_versions), ()
        )
        offers[rule.event_type] = offer._replace(raised_by=(*offer.raised_by, field))
    return offers

"""
The payload versions of the catalogue, each with its builder and the shape of its body.
"""

from collections.abc import Mapping
from typing import NamedTuple, get_type_hints

from msgspec import Struct

from dispatch_service.payloads import webhooks
from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.inventory import corrections, mirror
from dispatch_service.payloads.orders import (
    items_builders,
    order_v1,
    order_v2_builders,
    order_v3_builders,
    refunds,
)
from dispatch_service.payloads.replenishments import builders as replenishments
from dispatch_service.payloads.returns import builders as returns
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.events.v1.event_pb2 import Event


class Contract(NamedTuple):
    """
    The contract of one payload version of one event type.
    """

    event_type: EventType
    payload_version: str
    topic: str
    # The members of `Event.payload` that raise the event type.
    raised_by: frozenset[str]
    shape: type[Struct]
    build: Builder


def assemble(
    event_types: Mapping[str, EventType], builders: Mapping[Key, Builder]
) -> Mapping[Key, Contract]:
    """
    Join every offered payload version with its builder.

    Raises `ValueError` for a version without a builder or a builder without an offered version.
    """
    offered = {
        (name, version)
        for name, event_type in event_types.items()
        for version in event_type.payload_versions
    }
    if unmatched := offered ^ builders.keys():
        message = f"Payload versions without an offer or a builder: {sorted(unmatched)}."
        raise ValueError(message)
    return {
        (name, version): _contract(event_types[name], version, build)
        for (name, version), build in builders.items()
    }


def _contract(event_type: EventType, payload_version: str, build: Builder) -> Contract:
    return Contract(
        event_type=event_type,
        payload_version=payload_version,
        topic=CATALOGUE.topic(event_type.event_type, payload_version),
        raised_by=_fields_of(event_type),
        shape=get_type_hints(build)["return"],
        build=build,
    )


def _fields_of(event_type: EventType) -> frozenset[str]:
    fields = Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    return frozenset(
        field.name
        for field in fields
        if field.message_type is not None and field.message_type.name in event_type.domain_events
    )


BUILDERS: Mapping[Key, Builder] = {
    **order_v1.BUILDERS,
    **order_v2_builders.BUILDERS,
    **order_v3_builders.BUILDERS,
    **items_builders.BUILDERS,
    **refunds.BUILDERS,
    **corrections.BUILDERS,
    **mirror.BUILDERS,
    **replenishments.BUILDERS,
    **returns.BUILDERS,
    **webhooks.BUILDERS,
}

CONTRACTS = assemble(CATALOGUE.event_types, BUILDERS)

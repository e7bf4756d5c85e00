"""
From an event to the bytes of a body. Pure: one event gives the same bytes on every machine.
"""

from collections.abc import Mapping

from msgspec.json import Encoder

from dispatch_service.payloads.core.builder_types import Key
from dispatch_service.payloads.registry import CONTRACTS, Contract
from shipedge.webhooks.events.v1.event_pb2 import Event

_ENCODER = Encoder()


def render(
    event: Event,
    event_type: str,
    payload_version: str,
    contracts: Mapping[Key, Contract] = CONTRACTS,
) -> bytes:
    """
    Render *event* as UTF-8 JSON without white space between values.

    Keys have the order of the contract. The event must have passed `check` and must raise
    *event_type*. Whether it meets the conditions of the event type is decided by routing.

    Raises `LookupError` if the payload version does not exist, and `ValueError` if *event* does
    not raise the event type.
    """
    contract = contracts.get((event_type, payload_version))
    if contract is None:
        message = f"There is no payload version {payload_version!r} of {event_type!r}."
        raise LookupError(message)
    field = event.WhichOneof("payload")
    if field not in contract.raised_by:
        message = f"An event with the payload {field!r} does not raise {event_type!r}."
        raise ValueError(message)
    return _ENCODER.encode(contract.build(event, getattr(event, field), contract.topic))

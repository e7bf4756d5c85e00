"""
The JSON Schema and the example body of every payload version.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.json import schema as schema_of

from dispatch_service.payloads.examples import (
    inventory,
    orders,
    replenishments,
    returns,
    webhooks,
)
from dispatch_service.payloads.registry import CONTRACTS, Contract
from dispatch_service.payloads.rendering import render
from shipedge.webhooks.events.v1.event_pb2 import Event

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE_URL: Final = "https://webhooks.shipedge.com/schemas"

_EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    **orders.EXAMPLES,
    **inventory.EXAMPLES,
    **replenishments.EXAMPLES,
    **returns.EXAMPLES,
    **webhooks.EXAMPLES,
}


def schema(event_type: str, payload_version: str) -> dict[str, Any]:
    """
    Return the JSON Schema (2020-12) of a payload version.

    It allows unknown keys at every level, because a published payload version may get new keys.

    Raises `LookupError` if the payload version does not exist.
    """
    return schema_for(_contract(event_type, payload_version))


def schema_for(contract: Contract) -> dict[str, Any]:
    generated = schema_of(contract.shape)
    definitions = generated["$defs"]
    body = definitions.pop(contract.shape.__name__)
    body["properties"]["event"]["const"] = contract.topic
    if "api_version" in body["properties"]:
        body["properties"]["api_version"]["const"] = contract.payload_version
    for shape in (body, *definitions.values()):
        shape["additionalProperties"] = True
    event_type = contract.event_type
    return {
        "$schema": DIALECT,
        "$id": f"{BASE_URL}/{contract.topic}.json",
        **body,
        "title": f"{event_type.title}, payload version {contract.payload_version[1:]}",
        "description": event_type.description,
        "$defs": definitions,
    }


def example_event(event_type: str) -> Event:
    """
    Make a realistic event that raises *event_type*.

    Raises `LookupError` if the event type does not exist.
    """
    make = _EXAMPLES.get(event_type)
    if make is None:
        message = f"There is no event type {event_type!r}."
        raise LookupError(message)
    return make(event_type)


def example_body(event_type: str, payload_version: str) -> bytes:
    """
    Render the example event of *event_type*.

    Raises `LookupError` if the payload version does not exist.
    """
    _contract(event_type, payload_version)
    return render(example_event(event_type), event_type, payload_version)


def _contract(event_type: str, payload_version: str) -> Contract:
    contract = CONTRACTS.get((event_type, payload_version))
    if contract is None:
        message = f"There is no payload version {payload_version!r} of {event_type!r}."
        raise LookupError(message)
    return contract

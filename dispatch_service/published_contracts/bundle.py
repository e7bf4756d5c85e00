"""
The bundle for other tools: all schemas and examples, and an AsyncAPI 3 document.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version as installed_version
from typing import Any

import msgspec

from dispatch_service.payloads import CONTRACTS, example_body, schema
from dispatch_service.published_contracts.files import pretty
from shipedge.webhooks.catalogue import CATALOGUE

_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"

_SEQUENCE = "X-Shipedge-Sequence"

_HEADERS = {
    "webhook-id": "The delivery: the same on every attempt, to recognise repetitions by.",
    "webhook-timestamp": "When the attempt was made, in seconds since 1970.",
    "webhook-signature": "Signatures as Standard Webhooks 1.0.0 has them, separated by spaces.",
    "X-Shipedge-Topic": "The event type and payload version.",
    "X-Shipedge-Event-Id": "The event.",
    "X-Shipedge-Subscription-Id": "The last part of the name of the subscription.",
    "X-Shipedge-Delivery-Id": "The delivery.",
    "X-Shipedge-Attempt": "The number of the attempt, from 1.",
    "X-Shipedge-Account-Id": "The account that it happened in.",
    "X-Shipedge-Occurred-At": "When it happened.",
    _SEQUENCE: "Rises with each change of the resource; absent: not known.",
}


def bundle() -> Iterator[tuple[str, bytes]]:
    """
    Yield the path and the content of every file of the bundle.
    """
    for event_type, version in CONTRACTS:
        name = _name(event_type, version)
        yield f"schemas/{name}.json", pretty(msgspec.json.encode(schema(event_type, version)))
        yield f"examples/{name}.json", pretty(example_body(event_type, version))
    yield "asyncapi.json", pretty(msgspec.json.encode(asyncapi()))


def asyncapi() -> dict[str, Any]:
    """
    Describe the requests to customers as an AsyncAPI 3.0.0 document.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ShipEdge webhooks",
            "version": installed_version("shipedge-webhooks"),
            "description": "What is POSTed to the URL of a subscription until it is confirmed.",
        },
        "defaultContentType": "application/json",
        "channels": {_name(*key): _channel(*key) for key in CONTRACTS},
        "operations": {_name(*key): _operation(*key) for key in CONTRACTS},
        "components": {
            "messages": {_name(*key): _message(*key) for key in CONTRACTS},
            "schemas": {"headers": _headers()},
        },
    }


def _name(event_type: str, version: str) -> str:
    return f"{event_type.replace('/', '_')}_{version}"


def _channel(event_type: str, version: str) -> dict[str, Any]:
    name = _name(event_type, version)
    return {
        "address": None,
        "title": f"Subscriptions to {event_type} in version {version[1:]}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(event_type: str, version: str) -> dict[str, Any]:
    name = _name(event_type, version)
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": CATALOGUE.event_types[event_type].description,
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
    }


def _message(event_type: str, version: str) -> dict[str, Any]:
    described = CATALOGUE.event_types[event_type]
    name = _name(event_type, version)
    return {
        "name": CATALOGUE.topic(event_type, version),
        "title": described.title,
        "summary": described.description,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {
            "schemaFormat": _SCHEMA_FORMAT,
            "schema": {"$ref": f"schemas/{name}.json"},
        },
        "examples": [{"payload": msgspec.Raw(example_body(event_type, version))}],
    }


def _headers() -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in _HEADERS.items()}
    required = [name for name in _HEADERS if name != _SEQUENCE]
    return {"type": "object", "properties": properties, "required": required}

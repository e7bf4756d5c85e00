"""
Files with schemas and examples, beside the stubs.

The config service and clients in other languages read them: they cannot render payloads.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dispatch_service.payloads import example_body, schema
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.payload_contracts import PublishedVersion, file_name


def contract_files() -> Iterator[tuple[str, bytes]]:
    """
    Yield the name and the content of the file of every event type.
    """
    for event_type in CATALOGUE.event_types.values():
        versions = {name: _published(event_type, name) for name in event_type.payload_versions}
        yield file_name(event_type.event_type), pretty(msgspec.json.encode(versions))


def _published(event_type: EventType, version: str) -> PublishedVersion:
    name = event_type.event_type
    return PublishedVersion(
        msgspec.Raw(msgspec.json.encode(schema(name, version))),
        msgspec.Raw(example_body(name, version)),
    )


def pretty(text: bytes) -> bytes:
    """
    Indent JSON for reading; numbers keep their digits.
    """
    return msgspec.json.format(text, indent=2) + b"\n"

"""
The JSON Schema and the example of every payload version, as files: one for each
event type, written by `make contracts` from the typed definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

from shipedge.webhooks.catalogue import CATALOGUE


class PublishedVersion(msgspec.Struct, frozen=True):
    """
    A payload version: its JSON Schema (2020-12) and an example, each as JSON.
    """

    json_schema: msgspec.Raw
    example: msgspec.Raw


def file_name(event_type: str) -> str:
    """
    Name the file of an event type: `orders.shipped.json`.
    """
    return f"{event_type.replace('/', '.')}.json"


@cache
def published(event_type: str) -> Mapping[str, PublishedVersion]:
    """
    Read the payload versions of *event_type*. Raises `LookupError` for one that is not there.
    """
    if event_type not in CATALOGUE.event_types:
        raise LookupError(f"{event_type!r} is not an event type")
    content = resources.files(__name__).joinpath(file_name(event_type)).read_bytes()
    return msgspec.json.decode(content, type=dict[str, PublishedVersion])


def compact(text: msgspec.Raw) -> str:
    """
    Take the white space out of JSON; its numbers keep their digits.
    """
    return msgspec.json.format(bytes(text), indent=-1).decode()

"""
Samples of events, read from the file beside.
"""

from __future__ import annotations

import json
from importlib.resources import files

from google.protobuf.json_format import ParseDict

from shipedge.webhooks.events.v1.event_pb2 import Event

FILE = "events.json"


def event_types() -> list[str]:
    """
    Return the event types that have a sample.
    """
    return list(_content())


def sample(event_type: str) -> Event:
    """
    Return the sample of an event type. Raises `LookupError` with those that there are.
    """
    found = _content()
    if event_type not in found:
        raise LookupError(f"there is no sample of {event_type!r}; there are {', '.join(found)}")
    return ParseDict(found[event_type], Event())


def _content() -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = json.loads(
        (files("webhooksctl.samples") / FILE).read_text()
    )
    return content

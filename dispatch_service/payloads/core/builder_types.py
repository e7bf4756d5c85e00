"""
The types of builders and of the keys they are found by.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Struct

from shipedge.webhooks.events.v1.event_pb2 import Event

# An event type and a payload version.
Key: TypeAlias = tuple[str, str]

# Called with the event, its payload message and the wire name. Its return annotation is the shape
# of the body.
Builder: TypeAlias = Callable[[Event, Any, str], Struct]

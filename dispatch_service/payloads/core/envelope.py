"""
The first keys of every body of version 3.
"""

from typing import Annotated, Any

from msgspec import Struct

from dispatch_service.payloads.core.field_types import Instant, ResourceId, note
from dispatch_service.payloads.core.times import instant
from shipedge.webhooks.events.v1.event_pb2 import Event

Sequence = Annotated[
    int | None,
    note("Rises with each change of the resource: ignore a body with a lower one. Null: not kept."),
]


class SystemEnvelope(Struct, frozen=True, kw_only=True, gc=False):
    """
    What the bodies of the system's own event types begin with.
    """

    event_id: Annotated[
        str, note("The event: the same in all webhooks, retries and resends of one event.")
    ]
    event: Annotated[str, note("The event type and the payload version.")]
    api_version: Annotated[str, note("The payload version.")]
    occurred_at: Annotated[Instant, note("When it happened.")]
    account_id: Annotated[
        ResourceId | None,
        note("The account that it happened in; null for a warehouse's own events."),
    ]


class Envelope(SystemEnvelope, frozen=True, kw_only=True):
    """
    What every other body of version 3 begins with.
    """

    account_id: Annotated[ResourceId, note("The account that it happened in.")]
    channel: Annotated[
        str | None, note("The sales channel that it belongs to, for example `shopify`.")
    ]


def envelope(event: Event, topic: str, order_channel: str = "") -> dict[str, Any]:
    """
    Build the keys beside the data of *event*.

    Where the event names no channel, that of its order stands in for it.
    """
    keys = system_envelope(event, topic)
    keys["channel"] = event.channel or order_channel or None
    return keys


def system_envelope(event: Event, topic: str) -> dict[str, Any]:
    """
    Build the keys beside the data of an event of the system itself.

    Only events about the webhooks of a warehouse have no account.
    """
    return {
        "event_id": event.event_id,
        "event": topic,
        "api_version": "v3",
        "occurred_at": instant(event.occurred_at),
        "account_id": event.account_id or None,
        "sequence": event.sequence or None,
    }

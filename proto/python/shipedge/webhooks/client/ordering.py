"""
What events are about: the order of those about one resource is kept.
"""

from __future__ import annotations

import zlib

from shipedge.webhooks.events.v1 import event_pb2


def ordering_key(event: event_pb2.Event) -> str:
    """
    Return a key that all events about one resource of an account share.
    """
    kind = event.WhichOneof("payload")
    return f"{event.account_id}/{_resource(kind, event)}"


def connection_of(event: event_pb2.Event, connections: int) -> int:
    """
    Return over which of so many *connections* an event goes: those of a resource over the same.
    """
    return zlib.crc32(ordering_key(event).encode()) % connections


def _resource(kind: str | None, event: event_pb2.Event) -> str:
    match kind:
        case None:
            return ""
        case "inventory_corrected":
            return f"{event.inventory_corrected.warehouse} {event.inventory_corrected.sku}"
        case "inventory_levels_changed":
            levels = event.inventory_levels_changed.levels
            return f"{levels[0].warehouse} {levels[0].sku}" if levels else ""
        case "replenishment_initiated" | "replenishment_received":
            return f"replenishment {getattr(event, kind).replenishment.id}"
        case "return_initiated" | "return_received":
            return f"return {getattr(event, kind).return_order.id}"
        case "endpoint_state_changed":
            return event.endpoint_state_changed.subscription
        case _:
            return f"order {getattr(event, kind).order.id}"

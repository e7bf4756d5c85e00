"""
Whether publishers may touch the warehouses that their events name.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_service.payloads.core.warehouses import warehouses_of
from service_runtime.rpc import names
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import PermissionDenied
from shipedge.webhooks.events.v1.event_pb2 import Event

_EVERY_WAREHOUSE = "warehouses/-"


def forbidden(caller: Caller, events: Sequence[Event]) -> dict[int, PermissionDenied]:
    """
    Return the errors of the events that name a warehouse which *caller* may not touch, by index.
    """
    if _EVERY_WAREHOUSE in caller.owners:
        return {}
    refused = {}
    for index, event in enumerate(events):
        owners = map(names.warehouse, warehouses_of(event))
        denied = sorted(owner for owner in owners if not caller.may_touch(owner))
        if denied:
            refused[index] = PermissionDenied(
                f"Publishing for {denied[0]} is not permitted, or there is no such thing.",
                method="PublishEvents",
                owner=denied[0],
            )
    return refused

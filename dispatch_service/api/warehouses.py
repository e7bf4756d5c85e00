"""
The warehouses that events name, in the envelope or in the body, and whether their publisher may
touch them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor

from service_runtime.rpc import names
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import PermissionDenied
from shipedge.webhooks.events.v1.event_pb2 import Event

_EVERY_WAREHOUSE = "warehouses/*"
_FIELD = "warehouse"

Path = tuple[tuple[str, bool], ...]
"""
Names of fields from the outside in, each with whether it is repeated.
"""


def warehouse_paths(message: Descriptor, before: Path = ()) -> Iterator[Path]:
    """
    Yield the paths of all fields of *message* that name a warehouse.
    """
    for field in message.fields:
        path = (*before, (field.name, field.is_repeated))
        if field.message_type is not None:
            yield from warehouse_paths(field.message_type, path)
        elif field.name == _FIELD:
            yield path


_PATHS: Mapping[str, Sequence[Path]] = {
    field.name: tuple(warehouse_paths(field.message_type))
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}


def owners_of(event: Event) -> set[str]:
    """
    Return the warehouses that *event* names, as owners. Ids in the body that no warehouse can
    have are labels: they name nobody.
    """
    payload = event.WhichOneof("payload")
    owners = {names.warehouse(it) for it in event.warehouses}
    if payload is not None:
        for path in _PATHS[payload]:
            found = _values(getattr(event, payload), path)
            owners.update(names.warehouse(it) for it in found if names.is_warehouse_id(it))
    return owners


def forbidden(caller: Caller, events: Sequence[Event]) -> dict[int, PermissionDenied]:
    """
    Return the errors of the events that name a warehouse which *caller* may not touch, by index.
    """
    if _EVERY_WAREHOUSE in caller.owners:
        return {}
    refused = {}
    for index, event in enumerate(events):
        denied = sorted(owner for owner in owners_of(event) if not caller.may_touch(owner))
        if denied:
            refused[index] = PermissionDenied(
                f"Publishing for {denied[0]} is not permitted, or there is no such thing.",
                method="PublishEvents",
                owner=denied[0],
            )
    return refused


def _values(message: Any, path: Path) -> Iterator[str]:
    (name, repeated), inner = path[0], path[1:]
    for value in getattr(message, name) if repeated else (getattr(message, name),):
        if inner:
            yield from _values(value, inner)
        else:
            yield value

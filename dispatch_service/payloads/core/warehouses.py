"""
The warehouses that events name, in the envelope or in the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor

from service_runtime.rpc import names
from shipedge.webhooks.events.v1.event_pb2 import Event

_FIELD: Final = "warehouse"

_Reader: TypeAlias = Callable[[Any], list[str]]


def warehouses_of(event: Event) -> list[str]:
    """
    Return the ids of the warehouses that *event* names: those of the envelope, then those of the
    payload. Texts in the payload that no warehouse can have as its id are labels: they name none.
    """
    field = event.WhichOneof("payload")
    return _added(event, [] if field is None else named_in(field, getattr(event, field)))


def warehouses_with(event: Event, field: str, payload: Any) -> list[str]:
    """
    Return the same for an event whose *payload*, of the field *field*, is known.
    """
    return _added(event, named_in(field, payload))


def named_in(field: str, payload: Any) -> list[str]:
    """
    Return all texts in *payload* that may name a warehouse: empty and repeated ones too.

    *field* is the field of `Event.payload` that holds *payload*.
    """
    return _READERS[field](payload)


def _added(event: Event, named: list[str]) -> list[str]:
    given = event.warehouses[:]
    found = given if len(given) <= 1 else list(dict.fromkeys(given))
    for text in named:
        if text and text not in found and names.is_warehouse_id(text):
            found.append(text)
    return found


def _reader(message: Descriptor) -> _Reader:
    """
    Write and compile the function that reads all texts: one expression, since each event is read.
    """
    parts = "".join(f"*{it}, " for it in _expressions(message, "message", 0))
    reader: _Reader = eval(f"lambda message: [{parts}]")  # noqa: S307 - our own source
    return reader


def _expressions(message: Descriptor, at: str, depth: int) -> Iterator[str]:
    """
    Yield the expression of the texts in each field that names a warehouse, in the variable *at*.
    """
    for field in message.fields:
        value = f"{at}.{field.name}"
        if field.message_type is None:
            if field.name == _FIELD:
                yield f"({value},)"
        elif field.is_repeated:
            part = f"part_{depth}"
            for inner in _expressions(field.message_type, part, depth + 1):
                yield f"[text for {part} in {value} for text in {inner}]"
        else:
            yield from _expressions(field.message_type, value, depth)


_READERS: Final[Mapping[str, _Reader]] = {
    field.name: _reader(field.message_type)
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}

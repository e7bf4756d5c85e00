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

_LENGTH_DELIMITED: Final = 2
_CONTINUED: Final = 0x80

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


def most_named(field: str, content: bytes) -> int:
    """
    Return how many texts in a payload may name a warehouse at most, going by the number of bytes
    in the serialised event that can begin such a field. It costs less than reading them.
    """
    return sum(map(content.count, _FIRST_BYTES[field]))


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
                if inner == f"({part}.{_FIELD},)":
                    yield f"[{part}.{_FIELD} for {part} in {value}]"
                else:
                    yield f"[text for {part} in {value} for text in {inner}]"
        else:
            yield from _expressions(field.message_type, value, depth)


def _first_bytes(message: Descriptor) -> Iterator[bytes]:
    """
    Yield the first byte of the tag of each field that names a warehouse.
    """
    for field in message.fields:
        if field.message_type is not None:
            yield from _first_bytes(field.message_type)
        elif field.name == _FIELD:
            tag = field.number << 3 | _LENGTH_DELIMITED
            yield bytes([tag if tag < _CONTINUED else tag & 0x7F | _CONTINUED])


_READERS: Final[Mapping[str, _Reader]] = {
    field.name: _reader(field.message_type)
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}

_FIRST_BYTES: Final[Mapping[str, frozenset[bytes]]] = {
    field.name: frozenset(_first_bytes(field.message_type))
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}

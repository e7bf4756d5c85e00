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

# No payload names more outside of lists; a test counts them.
_MOST_ALONE: Final = 1

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


def most_named_in(field: str, payload: Any) -> int:
    """
    Return how many warehouses *payload* can name at most: a cheap bound.
    """
    count = _LISTED.get(field)
    return _MOST_ALONE if count is None else _MOST_ALONE + count(payload)


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


def _lists(message: Descriptor, at: str) -> Iterator[str]:
    """
    Yield the expressions of the lists whose elements name a warehouse each.
    """
    for field in message.fields:
        if field.message_type is None or not list(_expressions(field.message_type, "part", 0)):
            continue
        value = f"{at}.{field.name}"
        if field.is_repeated:
            yield value
        else:
            yield from _lists(field.message_type, value)


def _counter(message: Descriptor) -> Callable[[Any], int] | None:
    """
    Write and compile the function that counts the elements of those lists; None without lists.
    """
    lengths = " + ".join(f"len({it})" for it in _lists(message, "message"))
    if not lengths:
        return None
    counter: Callable[[Any], int] = eval(f"lambda message: {lengths}")  # noqa: S307 - as above
    return counter


_READERS: Final[Mapping[str, _Reader]] = {
    field.name: _reader(field.message_type)
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}
_LISTED: Final[Mapping[str, Callable[[Any], int]]] = {
    field.name: counter
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
    if (counter := _counter(field.message_type)) is not None
}

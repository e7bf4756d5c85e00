"""
Assignments to fields of an event: `order.number=SO-9`, `order.items[0].sku=A-1`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError

from shipedge.webhooks.events.v1.event_pb2 import Event
from webhooksctl.words.values import number_of

_STEP: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\[(\d+)\])?")
_TRUTH: Final = {"true": True, "yes": True, "false": False, "no": False}

_PROTECTED: Final = ("event_id", "account_id")
"""
What makes the event a new one, of the account that was asked about.
"""


def assign(event: Event, text: str) -> None:
    """
    Set a field of what the event says, or of the event itself where that has none of the name.
    An empty value empties the field; messages are written as JSON.

    Raises `ValueError` that says what is allowed.
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} has no value: order.number=SO-9, for example")
    steps = path.split(".")
    said = getattr(event, str(event.WhichOneof("payload")))
    name = steps[0].partition("[")[0]
    target = said if name in said.DESCRIPTOR.fields_by_name else event
    if target is event and name in _PROTECTED:
        raise ValueError(f"{name} is not set by hand")
    for step in steps[:-1]:
        target = _entered(target, step, path)
    _set(target, steps[-1], value, path)


def _field(target: Any, step: str, path: str) -> tuple[FieldDescriptor, int | None]:
    """
    Return the field of a step of a path and the position in it.
    """
    matched = _STEP.fullmatch(step)
    if matched is None:
        raise ValueError(f"{path!r} is no path: order.items[0].sku, for example")
    field = target.DESCRIPTOR.fields_by_name.get(matched[1])
    if field is None:
        allowed = ", ".join(it.name for it in target.DESCRIPTOR.fields)
        raise ValueError(f"{path}: there is no {matched[1]}; there are {allowed}")
    return field, None if matched[2] is None else int(matched[2])


def _entered(target: Any, step: str, path: str) -> Any:
    """
    Return the message that a step leads to; one behind the end of a list is added.
    """
    field, position = _field(target, step, path)
    if field.message_type is None or field.is_repeated is (position is None):
        raise ValueError(f"{path}: {step} holds no fields")
    if position is None:
        return getattr(target, field.name)
    items = getattr(target, field.name)
    if position > len(items):
        raise ValueError(f"{path}: {field.name} has {len(items)} items")
    return items.add() if position == len(items) else items[position]


def _set(target: Any, step: str, value: str, path: str) -> None:
    field, position = _field(target, step, path)
    if position is not None:
        raise ValueError(f"{path}: set the fields of {step}, or all of {field.name} as JSON")
    try:
        content = _content(field, value) if value else None
        target.ClearField(field.name)
        if content is not None:
            ParseDict({field.name: content}, target)
    except (ParseError, ValueError) as refused:
        raise ValueError(f"{path}: {refused}") from refused


def _content(field: FieldDescriptor, value: str) -> Any:
    """
    Return a value as protobuf's JSON has it.
    """
    if field.is_repeated or value.startswith("{"):
        return json.loads(value)
    if field.enum_type is not None:
        return number_of(field.enum_type, value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if value.lower() not in _TRUTH:
            raise ValueError(f"{value!r} is none of true, false")
        return _TRUTH[value.lower()]
    return value


def move(message: Any, warehouse: str) -> None:
    """
    Give all fields `warehouse` of a message and those within it another value.
    """
    for field, value in message.ListFields():
        if field.name == "warehouse" and field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, warehouse)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                move(each, warehouse)

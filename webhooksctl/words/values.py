"""
Fields of messages as texts for people.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from webhooksctl.words.times import shown_duration, shown_time

_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")


def printable(text: str) -> str:
    """
    Replace control characters: texts of others must not steer the terminal.
    """
    return "".join(
        repr(it)[1:-1] if unicodedata.category(it) in {"Cc", "Cf"} and it not in "\n\t" else it
        for it in text
    )


def word_of(enum: Any, number: int) -> str:
    """
    Return a value of an enum as a word, without the prefix of its enum: `active`.
    """
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = _CAPITALS.sub("_", enum.name).upper() + "_"
    return str(value.name).removeprefix(prefix).replace("_", " ").lower()


def number_of(enum: Any, word: str) -> int:
    """
    Return the value of an enum that a word names: `active`, or `inventory-mirror`.

    Raises `ValueError` with the words that are allowed.
    """
    wanted = word.replace("-", " ").replace("_", " ").lower()
    words = {word_of(enum, value.number): value.number for value in enum.values if value.number}
    if wanted not in words:
        allowed = ", ".join(it.replace(" ", "-") for it in words)
        raise ValueError(f"{word!r} is none of {allowed}")
    return int(words[wanted])


def text_at(message: Any, path: str) -> str:
    """
    Return the text of a field, `endpoint_health.state` for example; empty if it is not set.
    """
    head, _, rest = path.partition(".")
    field = message.DESCRIPTOR.fields_by_name[head]
    value = getattr(message, head)
    if field.is_repeated:
        return ", ".join(text_at(it, rest) if rest else _text(field, it) for it in value)
    if field.has_presence and not message.HasField(head):
        return ""
    return text_at(value, rest) if rest else _text(field, value)


def _text(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        return word_of(field.enum_type, value) if value else ""
    if field.name == "response_code" and not value:
        return ""
    if field.name == "success_rate":
        return f"{value:.2%}"
    match value:
        case bool():
            return "yes" if value else "no"
        case bytes():
            return value.decode(errors="replace")
        case Timestamp():
            return shown_time(value)
        case Duration():
            return shown_duration(value)
        case Message():
            return ", ".join(f"{path} {text}" for path, text in details(value))
        case _:
            return str(value)


def details(message: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """
    Yield the path and the text of all fields that are set, in the order of the contract.
    """
    for field, value in message.ListFields():
        path = prefix + field.name
        if field.is_repeated and _is_named_value(field):
            yield from ((f"{path}.{item.name}", item.value) for item in value)
        elif field.is_repeated and _is_nested(field):
            for position, item in enumerate(value):
                yield from details(item, f"{path}[{position}].")
        elif field.is_repeated:
            yield path, ", ".join(_text(field, item) for item in value)
        elif _is_nested(field):
            yield from details(value, f"{path}.")
        else:
            yield path, _text(field, value)


def _is_named_value(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and {it.name for it in kind.fields} == {"name", "value"}


def _is_nested(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name not in {
        Duration.DESCRIPTOR.full_name,
        Timestamp.DESCRIPTOR.full_name,
    }

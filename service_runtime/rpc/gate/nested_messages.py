"""
How many messages the bytes of a message hold at any depth, counted before they are decoded:
an empty one takes two bytes on the wire and more than a hundred in memory. No I/O.
"""

from __future__ import annotations

from typing import TypeAlias

from google.protobuf.descriptor import Descriptor

from service_runtime.rpc.gate.messages import LENGTH_DELIMITED, behind, varint

MessageFields: TypeAlias = dict[int, "MessageFields"]
"""
The fields of a message that hold messages, by their tag, each with those of its message.
"""

_CONTINUED = 0x80


def message_fields(descriptor: Descriptor) -> MessageFields:
    """
    Return the fields of a message that hold messages, however deep.
    """
    return _message_fields(descriptor, {})


def _message_fields(descriptor: Descriptor, known: dict[str, MessageFields]) -> MessageFields:
    # A message may hold itself.
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    found = known[descriptor.full_name] = MessageFields()
    for field in descriptor.fields:
        if field.message_type is not None:
            tag = field.number << 3 | LENGTH_DELIMITED
            found[tag] = _message_fields(field.message_type, known)
    return found


def message_count(raw: bytes, fields: MessageFields, most: int) -> int:
    """
    Return how many messages *raw* holds within itself, a message with *fields*. Counting ends
    beyond *most*, so that its cost is bounded by that and the size.

    Raises `ValueError` where the bytes are no message.
    """
    try:
        return _message_count(raw, fields, most)
    except IndexError:
        raise ValueError("ends within a field") from None


def _message_count(raw: bytes, fields: MessageFields, most: int) -> int:
    at, end, count = 0, len(raw), 0
    outer: list[tuple[int, int, MessageFields]] = []
    while count <= most:
        if at >= end:
            if at > end:
                raise ValueError("ends within a field")
            if not outer:
                break
            at, end, fields = outer.pop()
            continue
        tag, at = (raw[at], at + 1) if raw[at] < _CONTINUED else varint(raw, at)
        if tag & 7 != LENGTH_DELIMITED:
            at = behind(raw, at, tag & 7)
            continue
        size, at = (raw[at], at + 1) if raw[at] < _CONTINUED else varint(raw, at)
        inner = fields.get(tag)
        if inner is None:
            at += size
            continue
        count += 1
        # The rest of this message is read when the inner one has ended.
        outer.append((at + size, end, fields))
        end, fields = at + size, inner
    return count

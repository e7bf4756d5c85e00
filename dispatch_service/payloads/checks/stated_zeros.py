"""
Counts the zeros that a message states, to tell them from NUL characters in its texts.

A number, flag or text with presence that is 0, false or empty takes one zero byte in the
serialised message. If it has no other zero bytes, no text in it has a NUL.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from dispatch_service.payloads.checks.messages import is_choice

ZeroCount: TypeAlias = Callable[[Any], int]

_INDENT: Final = "    "


def zero_count_of(kind: Descriptor) -> ZeroCount:
    """
    Write and compile the function that counts the stated zeros of messages of *kind*.
    """
    lines = ["def count(message):", f"{_INDENT}found = 0", *_lines(kind, "message", 1)]
    source = "\n".join([*lines, f"{_INDENT}return found"])
    names: dict[str, Any] = {}
    exec(compile(source, f"<zeros of {kind.name}>", "exec"), names)  # noqa: S102 - our own source
    count: ZeroCount = names["count"]
    return count


def _lines(kind: Descriptor, at: str, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    for field in kind.fields:
        if _is_optional(field):
            yield f"{indent}if not {at}.{field.name}:"
            yield f"{indent}{_INDENT}found += {at}.HasField({field.name!r})"
        elif field.message_type is not None and not is_choice(field):
            yield from _nested(field, field.message_type, at, depth)


def _nested(field: FieldDescriptor, kind: Descriptor, at: str, depth: int) -> Iterator[str]:
    part, indent = f"{at}_{field.name}", _INDENT * depth
    if inner := list(_lines(kind, part, depth + field.is_repeated)):
        # A message that is absent reads as an empty one, which states nothing.
        whole = f"{at}.{field.name}"
        begin = f"for {part} in {whole}:" if field.is_repeated else f"{part} = {whole}"
        yield f"{indent}{begin}"
        yield from inner


def _is_optional(field: FieldDescriptor) -> bool:
    return field.message_type is None and field.has_presence and not is_choice(field)

"""
Values that no field of a request may have, whatever its own rules are. No I/O.

Databases and the library's types refuse them with errors of their own; here they are refused by
name, before any method sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service_runtime.rpc.errors import FieldFault, FieldFaults

LEAST_SECONDS, MOST_SECONDS = -62_135_596_800, 253_402_300_799
"""
The first second of the year 1 and the last of the year 9999: the range of `Timestamp`.
"""

MOST_SPAN_SECONDS = 315_576_000_000
"""
Ten thousand years, the range of `Duration` in either direction.
"""

MOST_NANOS = 999_999_999


def check(request: Message) -> None:
    """
    Raise `InvalidArgument` with the path of each field that holds NUL, or a time or duration out
    of the range of its type.
    """
    faults = FieldFaults()
    for fault in _faults(request, ""):
        faults.add(fault.field, fault.description)
    faults.raise_if_any()


def _faults(message: Message, prefix: str) -> Iterator[FieldFault]:
    rule = _RULES.get(message.DESCRIPTOR.full_name)
    if rule is not None:
        problem = rule(message)
        if problem:
            yield FieldFault(prefix.removesuffix("."), problem)
        return
    for field, value in message.ListFields():
        for path, item in _items(field, value, prefix):
            if isinstance(item, Message):
                yield from _faults(item, f"{path}.")
            elif isinstance(item, str) and "\0" in item:
                yield FieldFault(path, "must not hold NUL")


def _items(field: FieldDescriptor, value: object, prefix: str) -> Iterator[tuple[str, object]]:
    """
    Yield what a field holds, each item of a list or map by itself, with its path.
    """
    path = f"{prefix}{field.name}"
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{path}[]", key
            yield f"{path}[]", item
    elif field.is_repeated:
        for index, item in enumerate(value):  # type: ignore[arg-type]
            yield f"{path}[{index}]", item
    else:
        yield path, value


def _instant_problem(value: Timestamp) -> str:
    if LEAST_SECONDS <= value.seconds <= MOST_SECONDS and 0 <= value.nanos <= MOST_NANOS:
        return ""
    return "must be within the years 1 to 9999, with 0 to 999,999,999 nanos"


def _span_problem(value: Duration) -> str:
    if abs(value.seconds) > MOST_SPAN_SECONDS or abs(value.nanos) > MOST_NANOS:
        return "must be at most 10,000 years, with at most 999,999,999 nanos"
    if value.seconds * value.nanos < 0:
        return "must have seconds and nanos of one sign"
    return ""


_RULES: Mapping[str, Callable[..., str]] = {
    Timestamp.DESCRIPTOR.full_name: _instant_problem,
    Duration.DESCRIPTOR.full_name: _span_problem,
}

"""
Messages as bytes: what is counted before they are decoded, and their decoding. No I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument, RpcError

MESSAGE_BYTES = 260 * 1024
"""
The largest message of all methods but those that publish: an event of 256 KiB and its framing.
"""

LENGTH_DELIMITED = 2
"""
The kind of fields that begin with their length, as messages do.
"""

_SIZES = {1: 8, 5: 4}
_VARINT = 0
_CONTINUED = 0x80
_MOST_VARINT_BYTES = 10
_SHORT_FIELDS = 16  # fields below have a tag of one byte


class MessageMalformed(InvalidArgument):
    """
    The bytes are no message of the method.
    """

    reason = "MESSAGE_MALFORMED"

    def __init__(self, method: str) -> None:
        name = method.rpartition("/")[2]
        super().__init__(f"The bytes are no request of {name}.", method=name)


class MessageTooLarge(InvalidArgument):
    """
    The message is larger than those of its method may be.
    """

    reason = "MESSAGE_TOO_LARGE"

    def __init__(self, method: str, size: int, limit: int = MESSAGE_BYTES) -> None:
        name = method.rpartition("/")[2]
        super().__init__(
            f"A request of {name} must not be larger than {limit} bytes, not {size}.",
            method=name,
            bytes=str(size),
            limit=str(limit),
        )


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """
    A message of a stream that publishes, of which the method sees only why it was refused.
    """

    error: RpcError


def decoded(read: Callable[[bytes], Any] | None, raw: bytes, method: str) -> Any:
    """
    Decode *raw* with *read*. Raises `MessageMalformed`.
    """
    if read is None:
        return raw
    try:
        return read(raw)
    except Exception:  # noqa: BLE001 - whatever the decoder says, its text is not shown
        raise MessageMalformed(method) from None


def events_by_account(request: Any) -> Counter[str]:
    """
    Count the events of a request that publishes, by account.
    """
    return Counter(names.account(event.account_id) for event in request.events)


def element_count(raw: bytes, field: int, most: int) -> tuple[int, bool]:
    """
    Return how many elements the repeated message *field* has, and whether all fields were read:
    no more than *most* of any kind are, so that the cost is bounded.

    Raises `ValueError` where the bytes are no message, or hold a group, which no message of
    the contract does.
    """
    count, at, end = 0, 0, len(raw)
    short = field << 3 | LENGTH_DELIMITED if field < _SHORT_FIELDS else -1
    for _ in range(most):
        if at >= end:
            break
        if raw[at] == short and at + 2 < end:
            # Read here, as nearly all are: a call for each number costs more than all else.
            low, high = raw[at + 1], raw[at + 2]
            if low < _CONTINUED or high < _CONTINUED:
                at += 2 + low if low < _CONTINUED else 3 + (low & 0x7F) + (high << 7)
                count += 1
                continue
        tag, at = varint(raw, at)
        if tag & 7 == LENGTH_DELIMITED:
            size, at = varint(raw, at)
            at += size
            count += tag >> 3 == field
        else:
            at = behind(raw, at, tag & 7)
    if at > end:
        raise ValueError("ends within a field")
    return count, at == end


def behind(raw: bytes, at: int, kind: int) -> int:
    """
    Return the position behind a number of *kind* at *at*. Raises `ValueError` for what is none.
    """
    if kind == _VARINT:
        return varint(raw, at)[1]
    if kind in _SIZES:
        return at + _SIZES[kind]
    raise ValueError("a group, or no message")


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """
    Read a number at *at*; return it with the position behind it. Raises `ValueError`.
    """
    value = 0
    for index, byte in enumerate(raw[at : at + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & _CONTINUED:
            return value, at + index + 1
    raise ValueError("ends within a number")

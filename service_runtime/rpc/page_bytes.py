"""
The bytes of a page: clients receive 4 MiB by default, so a page ends before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import Message

MOST_BYTES = 3 * 1024 * 1024

MessageT = TypeVar("MessageT", bound=Message)


def fitting(messages: Sequence[MessageT], most_bytes: int = MOST_BYTES) -> Sequence[MessageT]:
    """
    Return as many of *messages* as fit into a page, one at least.
    """
    total = 0
    for count, message in enumerate(messages):
        total += message.ByteSize()
        if total > most_bytes and count:
            return messages[:count]
    return messages

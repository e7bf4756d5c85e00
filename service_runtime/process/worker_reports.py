"""
What a worker process tells its supervisor: whether it serves, and its figures.

Both hold one end of a socket pair. The supervisor asks with a byte, the worker answers
with a frame; each notices by the end of the stream that the other has died.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from service_runtime.observability import metrics
from service_runtime.observability.merged_metrics import Family

QUESTION = b"?"

_LENGTH = struct.Struct(">I")
_MOST_QUESTIONS = 1024


class Report(msgspec.Struct, frozen=True):
    """
    A worker's answer.
    """

    serving: bool
    families: list[Family]


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """
    The place of a worker: its *number* from 1 on, and the *descriptor* of its end of the pair.
    """

    number: int
    descriptor: int

    async def answer(self, serving: Callable[[], bool]) -> None:
        """
        Answer the supervisor's questions until it is gone.
        """
        reader, writer = await open_end(socket.socket(fileno=self.descriptor))
        with suppress(ConnectionError):
            # Questions that gathered meanwhile are answered together.
            while await reader.read(_MOST_QUESTIONS):
                writer.write(framed(Report(serving(), metrics.families())))
                await writer.drain()


async def open_end(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """
    Use one end of a socket pair from the event loop.
    """
    return await asyncio.open_unix_connection(sock=end)


def framed(report: Report) -> bytes:
    """
    Write a report as a frame: its length and itself.
    """
    content = msgspec.msgpack.encode(report)
    return _LENGTH.pack(len(content)) + content


async def read_report(reader: asyncio.StreamReader) -> Report:
    """
    Read a frame. Raises `asyncio.IncompleteReadError` at the end of the stream.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return msgspec.msgpack.decode(await reader.readexactly(length), type=Report)

"""
The reports of a worker process to its supervisor: whether it serves, and its metrics.

Each holds one end of a socket pair. The supervisor asks with a byte, the worker answers with a
frame. The end of the stream means that the other has died.
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
    The answer of a worker.
    """

    serving: bool
    families: list[Family]


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """
    The worker's end of the socket pair: the *number* of the worker, from 1, and the
    *descriptor* of the socket.
    """

    number: int
    descriptor: int

    async def answer(self, serving: Callable[[], bool]) -> None:
        """
        Answer the supervisor until it is gone. *serving* says whether the worker serves.
        """
        reader, writer = await open_end(socket.socket(fileno=self.descriptor))
        with suppress(ConnectionError):
            # Several questions that wait get one answer.
            while await reader.read(_MOST_QUESTIONS):
                writer.write(framed(Report(serving(), metrics.families())))
                await writer.drain()


async def open_end(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """
    Open streams on one end of a socket pair.
    """
    return await asyncio.open_unix_connection(sock=end)


def framed(report: Report) -> bytes:
    """
    Return a report as a frame: its length, then its content.
    """
    content = msgspec.msgpack.encode(report)
    return _LENGTH.pack(len(content)) + content


async def read_report(reader: asyncio.StreamReader) -> Report:
    """
    Read a frame. Raises `asyncio.IncompleteReadError` at the end of the stream.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return msgspec.msgpack.decode(await reader.readexactly(length), type=Report)

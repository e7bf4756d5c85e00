"""
A TCP proxy in front of a database server, whose connections can fall silent or vanish.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.receivers import reset

CHUNK_BYTES = 64 * 1024


class Proxy:
    """
    Forwards connections to a port of the loopback address.

    A silent connection stays open and carries nothing, as behind a network that forgot it.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._gates: set[asyncio.Event] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._new_are_silent = False

    def move(self, target: int) -> None:
        """
        Forward new connections to another port, as an address that moves does.
        """
        self._target = target

    def silence(self, *, new: bool) -> None:
        """
        Let the connections that there are fall silent for ever, and *new* ones as well if so said.
        """
        for gate in self._gates:
            gate.clear()
        self._new_are_silent = new

    def restore(self) -> None:
        """
        Let all connections go on.
        """
        self._new_are_silent = False
        for gate in self._gates:
            gate.set()

    def reset(self) -> None:
        """
        Reset all connections.
        """
        for writer in tuple(self._writers):
            reset(writer)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Carry one connection.
        """
        gate = asyncio.Event()
        if not self._new_are_silent:
            gate.set()
        self._gates.add(gate)
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._carry(reader, writer, gate)
        finally:
            self._gates.discard(gate)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(server_writer)
        pumps = [
            asyncio.ensure_future(_pump(reader, server_writer, gate)),
            asyncio.ensure_future(_pump(server_reader, writer, gate)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(server_writer)
            server_writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
) -> None:
    while data := await reader.read(CHUNK_BYTES):
        await gate.wait()
        writer.write(data)
        await writer.drain()
    # The end of a silent connection is not told either.
    await gate.wait()


@asynccontextmanager
async def running_proxy(target: int) -> AsyncIterator[Proxy]:
    """
    Run a proxy in front of a port.
    """
    proxy = Proxy(target)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await proxy.connected(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        running = tuple(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

"""
A balancer of TCP connections, as services of a cluster are behind: a connection stays with the
process that it was given to, and goes only to those that take part.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 64 * 1024


class Balancer:
    """
    Gives new connections to the ports of *members* in turn.
    """

    def __init__(self) -> None:
        self.port = 0
        self.members: list[int] = []
        self._turn = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Carry one connection.
        """
        try:
            with suppress(OSError):
                await self._carry(reader, writer)
        finally:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        port = self.members[self._turn % len(self.members)]
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        pumps = [
            asyncio.ensure_future(_pump(reader, to_there)),
            asyncio.ensure_future(_pump(there, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_there.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def running_balancer() -> AsyncIterator[Balancer]:
    """
    Run a balancer, which has no members yet.
    """
    balancer = Balancer()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await balancer.connected(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    balancer.port = server.sockets[0].getsockname()[1]
    try:
        yield balancer
    finally:
        server.close()
        running = tuple(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

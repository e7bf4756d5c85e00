"""
The end of a server as its callers see it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from service_runtime.rpc import server
from service_runtime.rpc.interceptors import CallInterceptor
from tests.support.databases import free_port
from tests.support.gated_service import CALL, GatedService

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CONNECTIONS = 4
DISTANCE_SECONDS = 0.05
PAUSE_SECONDS = 0.005
LOAD_SECONDS = 0.4


class Caller:
    """
    Begins a call every 5 ms, and counts how they end.
    """

    def __init__(self, port: int) -> None:
        options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
        self.codes: Counter[str] = Counter()
        self._channels = [
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
            for _ in range(CONNECTIONS)
        ]
        self._stopped = False

    async def call_on(self) -> None:
        """
        Call until `stop`; then wait for the answers.
        """
        async with asyncio.TaskGroup() as calls:
            while not self._stopped:
                for channel in self._channels:
                    calls.create_task(self._call(channel))
                    await asyncio.sleep(PAUSE_SECONDS)
        for channel in self._channels:
            await channel.close()

    def stop(self) -> None:
        """
        Begin no more calls.
        """
        self._stopped = True

    async def _call(self, channel: grpc.aio.Channel) -> None:
        method = channel.unary_unary(CALL, StringValue.SerializeToString, Empty.FromString)
        try:
            await method(StringValue(value="100"), metadata=(("caller", "oms"),), timeout=20)
        except grpc.aio.AioRpcError as error:
            self.codes[error.code().name] += 1
        else:
            self.codes["OK"] += 1


@asynccontextmanager
async def far_away(port: int) -> AsyncIterator[int]:
    """
    Yield a port from which each byte takes 50 ms to *port* and back.
    """
    open_now: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        for each in (_carry(reader, to_there), _carry(there, writer)):
            task = asyncio.ensure_future(each)
            open_now.add(task)
            task.add_done_callback(open_now.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    for task in tuple(open_now):
        task.cancel()
    await asyncio.gather(*open_now, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                writer.transport.abort()
                return
            writer.write(data)

    async with asyncio.TaskGroup() as both:
        both.create_task(write())
        data = b"."
        while data:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            waiting.put_nowait((time.monotonic() + DISTANCE_SECONDS, data))


async def test_no_call_is_cancelled() -> None:
    """
    A server that stops under load answers what it has begun, and all other calls end with
    `UNAVAILABLE`: those that it refuses, those on their way to it, and later ones.
    """
    address = f"127.0.0.1:{free_port()}"
    service = GatedService()
    service.add("oms", "publisher")
    service.go_on.set()
    interceptor = CallInterceptor(service.identify, authorise=lambda *_: ())
    running, port = server.build(address, interceptors=[interceptor], credentials=None)
    running.add_generic_rpc_handlers((service.handler(),))
    await running.start()
    async with AsyncExitStack() as stack:
        caller = Caller(await stack.enter_async_context(far_away(port)))
        calls = asyncio.ensure_future(caller.call_on())
        await asyncio.sleep(LOAD_SECONDS)
        await server.stop(running, 5.0)
        await asyncio.sleep(LOAD_SECONDS)
        caller.stop()
        await calls

    assert set(caller.codes) == {"OK", "UNAVAILABLE"}, caller.codes


async def test_open_call_is_answered() -> None:
    """
    It has the grace to end.
    """
    service = GatedService()
    service.add("oms", "publisher")
    interceptor = CallInterceptor(service.identify, authorise=lambda *_: ())
    address = f"127.0.0.1:{free_port()}"
    running, _ = server.build(address, interceptors=[interceptor], credentials=None)
    running.add_generic_rpc_handlers((service.handler(),))
    await running.start()
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.unary_unary(CALL, StringValue.SerializeToString, Empty.FromString)
        call = method(StringValue(value="100"), metadata=(("caller", "oms"),), timeout=20)
        while not service.seen:
            await asyncio.sleep(PAUSE_SECONDS)
        stopping = asyncio.ensure_future(server.stop(running, 20.0))
        await asyncio.sleep(PAUSE_SECONDS)
        service.go_on.set()
        assert await call == Empty()
        await stopping

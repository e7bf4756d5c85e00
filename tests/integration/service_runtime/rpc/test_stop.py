"""
The end of a server as its callers see it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from service_runtime.rpc import server
from service_runtime.rpc.interceptors import CallInterceptor
from shipedge.webhooks.client import channel
from tests.support.databases import free_port
from tests.support.gated_service import CALL, GatedService

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CONNECTIONS, CALLERS = 4, 40
LOAD_SECONDS = 0.2
ENDS = 3


async def call_on(connection: grpc.aio.Channel, codes: Counter[str]) -> None:
    """
    Call again and again until a call is refused, and go elsewhere then.
    """
    method = connection.unary_unary(CALL, StringValue.SerializeToString, Empty.FromString)
    while True:
        try:
            await method(StringValue(value="100"), metadata=(("caller", "oms"),), timeout=20)
        except grpc.aio.AioRpcError as error:
            codes[error.code().name] += 1
            return
        codes["OK"] += 1


async def ended_under_load(codes: Counter[str]) -> None:
    """
    Run a server under more calls than it can take, and stop it.
    """
    address = f"127.0.0.1:{free_port()}"
    service = GatedService()
    service.add("oms", "publisher")
    service.go_on.set()
    interceptor = CallInterceptor(service.identify, authorise=lambda *_: ())
    running, _ = server.build(address, interceptors=[interceptor], credentials=None)
    running.add_generic_rpc_handlers((service.handler(),))
    await running.start()
    async with AsyncExitStack() as stack:
        connections: list[Any] = [
            await stack.enter_async_context(channel.connect(address, own_connection=True))
            for _ in range(CONNECTIONS)
        ]
        async with asyncio.TaskGroup() as calls:
            for number in range(CALLERS):
                calls.create_task(call_on(connections[number % CONNECTIONS], codes))
            await asyncio.sleep(LOAD_SECONDS)
            await server.stop(running, 5.0)


async def test_no_call_is_cancelled() -> None:
    """
    A server that stops under load answers what it takes and refuses the rest with `UNAVAILABLE`,
    also the calls that it has received and not yet begun.
    """
    codes: Counter[str] = Counter()
    for _ in range(ENDS):
        await ended_under_load(codes)

    assert set(codes) == {"OK", "UNAVAILABLE"}, codes

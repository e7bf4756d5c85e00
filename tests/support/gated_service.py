"""
A service behind the gate, whose methods wait, and calls of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from service_runtime.rpc import server
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import ShuttingDown
from service_runtime.rpc.gate.limits import Limits
from service_runtime.rpc.gate.messages import RefusedMessage
from service_runtime.rpc.gate.usage import Usage
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.rpc.status import read_error
from shipedge.webhooks.client import channel
from tests.support.databases import free_port

CALL, WATCH, PUBLISH = "/test.Service/Call", "/test.Service/Watch", "/test.Service/Publish"


@dataclass
class GatedService:
    """
    Methods that note what they get; they hold calls until `go_on` is set.
    """

    callers: dict[str, Caller] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    usage: Usage = field(default_factory=lambda: Usage(Limits()))
    drain: Callable[[], Awaitable[None]] | None = None

    def add(self, name: str, *roles: str, owners: frozenset[str] = frozenset()) -> None:
        """
        Let a caller in, or change it.
        """
        self.callers[name] = Caller(f"callers/{name}", frozenset(roles), owners)

    def identify(self, metadata: Any, _authentication: Any) -> Caller | None:
        """
        Find the caller whose name is in the metadata.
        """
        return self.callers.get(str(metadata.get("caller", "")))

    async def call(self, request: StringValue, _context: Any) -> Empty:
        """
        Take a request and hold it.
        """
        self.seen.append(request.value[:10])
        await self.go_on.wait()
        return Empty()

    async def watch(self, _request: StringValue, _context: Any) -> AsyncIterator[Empty]:
        """
        Answer once and stay open.
        """
        yield Empty()
        await self.go_on.wait()

    async def publish(
        self, requests: AsyncIterator[StringValue | RefusedMessage], _context: Any
    ) -> AsyncIterator[Empty]:
        """
        Answer each message, and end with the first that is refused.
        """
        async for request in requests:
            if isinstance(request, RefusedMessage):
                raise request.error
            self.seen.append(request.value[:10])
            yield Empty()

    def handler(self) -> grpc.GenericRpcHandler:
        """
        Make the methods callable.
        """
        codec: dict[str, Any] = {
            "request_deserializer": StringValue.FromString,
            "response_serializer": Empty.SerializeToString,
        }
        return grpc.method_handlers_generic_handler(
            "test.Service",
            {
                "Call": grpc.unary_unary_rpc_method_handler(self.call, **codec),
                "Watch": grpc.unary_stream_rpc_method_handler(self.watch, **codec),
                "Publish": grpc.stream_stream_rpc_method_handler(self.publish, **codec),
            },
        )


@asynccontextmanager
async def serving(service: GatedService, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """
    Serve the methods and health; yield a channel.
    """
    address = f"127.0.0.1:{free_port()}"
    chosen: dict[str, Any] = {
        "authorise": lambda _caller, _method, request: (f"accounts/{request.value[:3]}",),
        "publishing": {PUBLISH: lambda _raw: None},
    } | options
    interceptor = CallInterceptor(service.identify, **chosen)
    service.usage = interceptor.usage
    grpc_server, _ = server.build(address, interceptors=[interceptor], credentials=None)
    grpc_server.add_generic_rpc_handlers((service.handler(),))
    health = ServerHealth((), _nothing)
    health.on_drain(partial(interceptor.streams.drain, ShuttingDown()))
    service.drain = health.drain
    health.add_to(grpc_server)
    await health.check_once()
    await grpc_server.start()
    async with channel.connect(address) as connection:
        yield connection
    service.go_on.set()
    await server.stop(grpc_server, 0)


async def _nothing() -> None:
    pass


def called(connection: grpc.aio.Channel, caller: str, value: str = "", **options: Any) -> Any:
    """
    Begin a unary call.
    """
    method = connection.unary_unary(CALL, StringValue.SerializeToString, Empty.FromString)
    return method(StringValue(value=value), metadata=(("caller", caller),), **options)


def watched(connection: grpc.aio.Channel, caller: str, value: str = "") -> Any:
    """
    Open a watch.
    """
    method = connection.unary_stream(WATCH, StringValue.SerializeToString, Empty.FromString)
    return method(StringValue(value=value), metadata=(("caller", caller),))


def published(connection: grpc.aio.Channel, caller: str) -> Any:
    """
    Open a publish stream.
    """
    method = connection.stream_stream(PUBLISH, StringValue.SerializeToString, Empty.FromString)
    return method(metadata=(("caller", caller),))


async def raw_call(
    connection: grpc.aio.Channel, caller: str, *messages: bytes, path: str = CALL
) -> Any:
    """
    Send bytes, or none and leave the call open; return the error that it ends with.
    """
    call: Any = connection.stream_unary(path)(metadata=(("caller", caller),))
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for message in messages:
            await call.write(message)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_error(raised.value)


async def ended(stream: Any) -> Any:
    """
    Read a stream to its end; return its error.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        while await stream.read() is not grpc.aio.EOF:
            pass
    return read_error(raised.value)


async def opens(connection: grpc.aio.Channel, caller: str) -> bool:
    """
    Tell whether a watch opens.
    """
    try:
        await watched(connection, caller).read()
    except grpc.aio.AioRpcError:
        return False
    return True

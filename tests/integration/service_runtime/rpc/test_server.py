"""
What every call of both services gets: callers, deadlines, errors, health.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.database.faults import is_unavailable
from service_runtime.rpc import server
from service_runtime.rpc.callers import Caller, current_caller, development_caller
from service_runtime.rpc.errors import NotFound
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.rpc.status import read_error
from shipedge.webhooks.client import channel
from tests.support.databases import free_port

pytestmark = pytest.mark.anyio


class Missing(NotFound):
    """
    An error of this test.
    """

    reason = "SUBSCRIPTION_NOT_FOUND"


@dataclass
class Behaviour:
    """
    The behaviour of the methods of the test service.
    """

    error: Exception | None = None
    holds: bool = False
    ended: list[str] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def unary(self, _request: Empty, context: Any) -> Empty:
        """
        Wait for `go_on` if it *holds*, then answer or fail.
        """
        context.add_done_callback(lambda _: self.hung_up.set())
        self.started.set()
        if self.holds:
            await self.go_on.wait()
        self.ended.append(current_caller.get().name)
        if self.error:
            raise self.error
        return Empty()

    async def stream(self, _request: Empty, _context: Any) -> AsyncIterator[Empty]:
        """
        Answer once, then fail.
        """
        yield Empty()
        if self.error:
            raise self.error

    def handler(self) -> grpc.GenericRpcHandler:
        """
        Make the methods callable.
        """
        codec: dict[str, Any] = {
            "request_deserializer": Empty.FromString,
            "response_serializer": Empty.SerializeToString,
        }
        return grpc.method_handlers_generic_handler(
            "test.Service",
            {
                "Unary": grpc.unary_unary_rpc_method_handler(self.unary, **codec),
                "Stream": grpc.unary_stream_rpc_method_handler(self.stream, **codec),
            },
        )


@asynccontextmanager
async def serving(
    behaviour: Behaviour, identify: Any = development_caller, **options: Any
) -> AsyncIterator[grpc.aio.Channel]:
    """
    Serve the test service; yield a channel to it.
    """
    address = f"127.0.0.1:{free_port()}"
    options = {"authorise": lambda *_: ()} | options
    interceptor = CallInterceptor(identify, **options)
    grpc_server, _ = server.build(address, interceptors=[interceptor], credentials=None)
    grpc_server.add_generic_rpc_handlers((behaviour.handler(),))
    await grpc_server.start()
    async with channel.connect(address) as connection:
        yield connection
    await server.stop(grpc_server, 0)


def unary(connection: grpc.aio.Channel, **options: Any) -> Any:
    """
    Call the unary method.
    """
    method = connection.unary_unary(
        "/test.Service/Unary", Empty.SerializeToString, Empty.FromString
    )
    return method(Empty(), **options)


async def refused(call: Any) -> Any:
    """
    Return the error that a unary call ends with, as clients read it.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_error(raised.value)


async def test_typed_error_reaches_the_client() -> None:
    """
    Code, reason and text of an error come through.
    """
    async with serving(Behaviour(Missing("There is no accounts/1/subscriptions/x."))) as connection:
        detail = await refused(unary(connection))
    assert (detail.code, detail.reason) == ("NOT_FOUND", "SUBSCRIPTION_NOT_FOUND")
    assert "accounts/1/subscriptions/x" in detail.message


@pytest.mark.heavy
async def test_calls_that_pile_up_are_answered() -> None:
    """
    Calls that nobody could look at for a while are served or refused, none is cut off.
    """
    behaviour = Behaviour()
    async with serving(behaviour) as connection:
        await unary(connection)
        calls = [asyncio.ensure_future(unary(connection).code()) for _ in range(4000)]
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - that the loop stands still is what is tested
        codes = set(await asyncio.gather(*calls))

    assert grpc.StatusCode.OK in codes
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


async def test_typed_error_in_a_stream() -> None:
    """
    So it does after some answers of a stream.
    """
    async with serving(Behaviour(Missing("There is no accounts/1/subscriptions/x."))) as connection:
        method = connection.unary_stream(
            "/test.Service/Stream", Empty.SerializeToString, Empty.FromString
        )
        answers = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for answer in method(Empty()):
                answers.append(answer)  # noqa: PERF401 - what came before the error counts
    assert len(answers) == 1
    assert read_error(raised.value).reason == "SUBSCRIPTION_NOT_FOUND"


async def test_unexpected_error_shows_nothing() -> None:
    """
    An unexpected error becomes INTERNAL, without its text.
    """
    async with serving(Behaviour(ValueError("password=hunter2"))) as connection:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await unary(connection)
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(raised.value)


async def test_call_without_deadline_gets_one() -> None:
    """
    A forgotten deadline does not bind a call for ever.
    """
    behaviour = Behaviour(holds=True)
    async with serving(behaviour, deadline_seconds=0.05) as connection:
        detail = await refused(unary(connection))
        behaviour.go_on.set()
    assert (detail.code, detail.reason) == ("DEADLINE_EXCEEDED", "CALL_TIMED_OUT")


async def test_database_that_does_not_answer_is_unavailable() -> None:
    """
    What says so is no fault of ours: a later call may do, unary or streaming.
    """
    behaviour = Behaviour(ConnectionRefusedError())
    options = {"store_is_away": is_unavailable}
    async with serving(behaviour, **options) as connection:
        detail = await refused(unary(connection))
        stream = connection.unary_stream(
            "/test.Service/Stream", Empty.SerializeToString, Empty.FromString
        )(Empty())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            _ = [it async for it in stream]

    assert (detail.code, detail.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
    assert read_error(raised.value).reason == "STORE_UNAVAILABLE"


async def test_deadline_of_the_call_is_no_timeout_of_the_database() -> None:
    """
    Both are the same error inside; to callers they are not.
    """
    options = {"store_is_away": is_unavailable}
    slow = Behaviour(holds=True)
    async with serving(slow, deadline_seconds=0.05, **options) as connection:
        assert (await refused(unary(connection))).reason == "CALL_TIMED_OUT"
        slow.go_on.set()
    async with serving(Behaviour(TimeoutError()), **options) as connection:
        assert (await refused(unary(connection))).reason == "STORE_UNAVAILABLE"


async def test_cancelled_call_ends_whole() -> None:
    """
    A client that hangs up does not cut the work in two.
    """
    behaviour = Behaviour(holds=True)
    async with serving(behaviour) as connection, asyncio.timeout(20):
        call = unary(connection)
        await behaviour.started.wait()
        call.cancel()
        await behaviour.hung_up.wait()
        behaviour.go_on.set()
        while not behaviour.ended:
            await asyncio.sleep(0.01)
    assert behaviour.ended == ["callers/development"]


async def test_nobody_is_unauthenticated() -> None:
    """
    A caller that nobody knows gets no further.
    """
    behaviour = Behaviour()
    async with serving(behaviour, lambda _metadata, _peer: None) as connection:
        detail = await refused(unary(connection))
    assert (detail.code, behaviour.ended) == ("UNAUTHENTICATED", [])


async def test_caller_is_known_to_the_method() -> None:
    """
    The caller that was identified is the one that the call runs for.
    """
    caller = Caller("callers/42", frozenset(), frozenset())
    behaviour = Behaviour()
    async with serving(behaviour, lambda _metadata, _peer: caller) as connection:
        await unary(connection)
    assert behaviour.ended == ["callers/42"]


async def test_method_that_is_not_there() -> None:
    """
    An unknown method is UNIMPLEMENTED, with a reason as everything else.
    """
    async with serving(Behaviour()) as connection:
        method = connection.unary_unary(
            "/test.Service/Other", Empty.SerializeToString, Empty.FromString
        )
        detail = await refused(method(Empty()))
    assert (detail.code, detail.reason) == ("UNIMPLEMENTED", "METHOD_UNIMPLEMENTED")
    assert detail.metadata == {"method": "Other"}


async def test_taken_port_is_a_clear_error() -> None:
    """
    Two services never share a port by mistake.
    """
    address = f"127.0.0.1:{free_port()}"
    first, _ = server.build(address, interceptors=[], credentials=None)
    await first.start()
    with pytest.raises(server.PortTakenError, match=address):
        server.build(address, interceptors=[], credentials=None)
    await first.stop(0)


async def test_health_follows_the_checks() -> None:
    """
    Health says whether the service can work, and NOT_SERVING while it drains.
    """
    broken = False

    async def check() -> None:
        if broken:
            raise OSError("the database is gone")

    address = f"127.0.0.1:{free_port()}"
    health = ServerHealth((), check)
    grpc_server, _ = server.build(address, interceptors=[], credentials=None)
    health.add_to(grpc_server)
    await grpc_server.start()
    serving_now = health_pb2.HealthCheckResponse.SERVING
    async with channel.connect(address) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        await health.check_once()
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == serving_now
        broken = True
        await health.check_once()
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status != serving_now
        broken = False
        await health.check_once()
        await health.drain()
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status != serving_now
    await grpc_server.stop(0)

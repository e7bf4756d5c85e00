"""
What stands before every method, over the wire: callers, limits and messages.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.rpc.gate.limits import MIB, Limits
from service_runtime.rpc.gate.messages import MESSAGE_BYTES
from service_runtime.rpc.status import read_error
from tests.support.gated_service import (
    CALL,
    PUBLISH,
    GatedService,
    called,
    ended,
    opens,
    published,
    raw_call,
    serving,
    watched,
)

pytestmark = pytest.mark.anyio


async def test_nobody_is_refused_before_a_message() -> None:
    """
    Who is not known is refused although no message has come, and no byte of one is decoded.
    """
    async with serving(GatedService()) as connection, asyncio.timeout(20):
        waiting = await raw_call(connection, "nobody")
        malformed = await raw_call(connection, "nobody", b"\xff")
    assert (waiting.code, waiting.reason) == ("UNAUTHENTICATED", "CALLER_UNKNOWN")
    assert malformed == waiting


async def test_bytes_that_are_no_message(capfd: pytest.CaptureFixture[str]) -> None:
    """
    They are the caller's fault, and neither the answer nor the log shows the decoder.
    """
    service = GatedService()
    service.add("a")
    async with serving(service) as connection, asyncio.timeout(20):
        unary = await raw_call(connection, "a", b"\xff\xff")
        stream = published(connection, "a")
        await stream.write(StringValue(value="first"))
        await stream.read()
        raw: Any = connection.stream_stream(PUBLISH)(metadata=(("caller", "a"),))
        await raw.write(b"\x0a\x05x")
        streamed = await ended(raw)
    assert (unary.code, unary.reason) == ("INVALID_ARGUMENT", "MESSAGE_MALFORMED")
    assert (streamed.code, streamed.reason) == ("INVALID_ARGUMENT", "MESSAGE_MALFORMED")
    assert "DecodeError" not in unary.message + streamed.message
    assert "Traceback" not in capfd.readouterr().err


async def test_large_message_of_a_method_that_does_not_publish() -> None:
    """
    It is refused with the limit; one that publishes takes it.
    """
    service = GatedService()
    service.add("a")
    large = StringValue(value="x" * MESSAGE_BYTES)
    async with serving(service) as connection, asyncio.timeout(20):
        refused = await raw_call(connection, "a", large.SerializeToString())
        stream = published(connection, "a")
        await stream.write(large)
        assert await stream.read() == Empty()
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "MESSAGE_TOO_LARGE")
    assert refused.metadata["limit"] == str(MESSAGE_BYTES)


async def test_watches_of_one_caller_leave_those_of_others() -> None:
    """
    A caller at its limit is refused with a time to wait; others, and its calls, are not.
    """
    service = GatedService()
    service.add("a")
    service.add("b")
    async with serving(service, limits=Limits(caller_watches=2)) as connection:
        open_ones = [watched(connection, "a") for _ in range(2)]
        for stream in open_ones:
            assert await stream.read() == Empty()
        refused = await ended(watched(connection, "a"))
        assert await watched(connection, "b").read() == Empty()
        open_ones[0].cancel()
        async with asyncio.timeout(20):
            while not await opens(connection, "a"):
                pass
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "CALLER_LIMIT_REACHED")
    assert refused.metadata == {"what": "watches open", "limit": "2"}


async def test_calls_of_one_caller_leave_those_of_others() -> None:
    """
    The same for unary calls, whose owners are counted too.
    """
    service = GatedService()
    service.add("a")
    service.add("b")
    limits = Limits(caller_calls=2, account_calls=3)
    async with serving(service, limits=limits) as connection, asyncio.timeout(20):
        held = [called(connection, "a", "100"), called(connection, "a", "200")]
        held.append(called(connection, "b", "100"))
        while len(service.seen) < 3:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as caller_full:
            await called(connection, "a", "300")
        service.add("c")
        held.append(called(connection, "c", "100"))
        while len(service.seen) < 4:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as account_full:
            await called(connection, "c", "100")
        service.go_on.set()
        await asyncio.gather(*held)
    assert read_error(caller_full.value).reason == "CALLER_LIMIT_REACHED"
    detail = read_error(account_full.value)
    assert (detail.reason, detail.metadata["owner"]) == ("ACCOUNT_LIMIT_REACHED", "accounts/100")


async def test_messages_in_flight_are_bounded() -> None:
    """
    A caller that has all its bytes in flight is refused until some are answered.
    """
    service = GatedService()
    service.add("a")
    limits = Limits(caller_bytes=4 * MIB)
    checks = {CALL: lambda _raw: None}
    async with (
        serving(service, limits=limits, publishing=checks) as connection,
        asyncio.timeout(20),
    ):
        held = [called(connection, "a", "x" * 2 * MIB) for _ in range(2)]
        while len(service.seen) < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await called(connection, "a", "x")
        service.go_on.set()
        await asyncio.gather(*held)
        await called(connection, "a", "x")
    detail = read_error(raised.value)
    assert detail.reason == "CALLER_LIMIT_REACHED"
    assert detail.metadata["what"] == "bytes of messages in flight"


async def test_message_that_does_not_come_holds_only_its_caller() -> None:
    """
    A caller that starts messages and does not send them waits for itself alone.
    """
    service = GatedService()
    service.add("a")
    service.add("b")
    service.go_on.set()
    async with (
        serving(service, limits=Limits(caller_bytes=4 * MIB)) as connection,
        asyncio.timeout(20),
    ):
        unsent: Any = connection.stream_unary(CALL)(metadata=(("caller", "a"),))
        while not service.usage.receives("callers/a"):
            await asyncio.sleep(0.01)
        waiting = called(connection, "a")
        await called(connection, "b")
        assert not waiting.done()
        unsent.cancel()
        await waiting


@pytest.mark.slow
async def test_health_answers_whoever_asks() -> None:
    """
    A check needs no caller, no message and no room; a watch needs a caller.
    """
    service = GatedService()
    service.add("a")
    async with serving(service, limits=Limits(caller_calls=1)) as connection, asyncio.timeout(20):
        stub = health_pb2_grpc.HealthStub(connection)
        held = called(connection, "a")
        while not service.seen:
            await asyncio.sleep(0.01)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == 1
        known = {"metadata": (("caller", "a"),)}
        assert (await stub.Check(health_pb2.HealthCheckRequest(), **known)).status == 1
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        silent: Any = connection.stream_unary("/grpc.health.v1.Health/Check")()
        assert health_pb2.HealthCheckResponse.FromString(await silent).status == 1
        nobody = await ended(stub.Watch(health_pb2.HealthCheckRequest()))
        assert (await stub.Watch(health_pb2.HealthCheckRequest(), **known).read()).status == 1
        service.go_on.set()
        await held
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert nobody.code == "UNAUTHENTICATED"


async def test_authorization_given_twice() -> None:
    """
    Which of two tokens counts is not for the service to guess.
    """
    service = GatedService()
    service.add("a")
    service.go_on.set()
    async with serving(service) as connection:
        method = connection.unary_unary(CALL, StringValue.SerializeToString, Empty.FromString)
        twice = [("caller", "a"), ("authorization", "Bearer x"), ("authorization", "Bearer y")]
        await method(StringValue(), metadata=twice[:2])
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await method(StringValue(), metadata=twice)
    assert read_error(raised.value).reason == "CALLER_UNKNOWN"

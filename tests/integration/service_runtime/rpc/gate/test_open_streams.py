"""
Streams that end because of what became of their callers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import ShuttingDown
from service_runtime.rpc.gate.open_streams import STREAM_SECONDS, OpenStream
from service_runtime.rpc.server import OPTIONS
from tests.support.gated_service import GatedService, called, ended, published, serving, watched

pytestmark = pytest.mark.anyio

CALLER = Caller("callers/a", frozenset(), frozenset())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [watched, published])
async def test_open_streams_of_a_deleted_caller_end(kind: Any) -> None:
    """
    They end although nothing is sent.
    """
    service = GatedService()
    service.add("a")
    async with serving(service) as connection, asyncio.timeout(20):
        stream = kind(connection, "a")
        if kind is published:
            await stream.write(StringValue(value="1"))
        assert await stream.read() == Empty()
        del service.callers["a"]
        detail = await ended(stream)
    assert (detail.code, detail.reason) == ("UNAUTHENTICATED", "CALLER_REVOKED")


@pytest.mark.slow
async def test_open_streams_of_a_caller_that_may_do_less_end() -> None:
    """
    Fewer roles or owners end a stream, more do not.
    """
    service = GatedService()
    service.add("a", "reader", owners=frozenset({"accounts/1"}))
    async with serving(service) as connection, asyncio.timeout(20):
        stream = watched(connection, "a")
        await stream.read()
        service.add("a", "reader", "publisher", owners=frozenset({"accounts/-"}))
        await asyncio.sleep(1.5)
        assert not stream.done()
        service.add("a", "reader", owners=frozenset({"accounts/-"}))
        detail = await ended(stream)
    assert (detail.code, detail.reason) == ("PERMISSION_DENIED", "CALLER_FORBIDDEN")


async def test_each_message_is_judged_by_its_caller_of_now() -> None:
    """
    A message after the deletion is not taken, however soon it comes.
    """
    service = GatedService()
    service.add("a")
    async with serving(service) as connection, asyncio.timeout(20):
        stream = published(connection, "a")
        await stream.write(StringValue(value="1"))
        await stream.read()
        del service.callers["a"]
        await stream.write(StringValue(value="2"))
        detail = await ended(stream)
    assert detail.reason == "CALLER_REVOKED"
    assert service.seen == ["1"]


async def test_streams_end_when_the_service_drains() -> None:
    """
    Watches and publish streams end at once and say why; calls go on, and no stream is opened.
    """
    service = GatedService()
    service.add("a")
    async with serving(service) as connection, asyncio.timeout(20):
        call = called(connection, "a", "call")
        watch, publishing = watched(connection, "a"), published(connection, "a")
        await publishing.write(StringValue(value="1"))
        assert await watch.read() == await publishing.read() == Empty()
        assert service.drain is not None
        await service.drain()
        details = [await ended(watch), await ended(publishing)]
        details.append(await ended(watched(connection, "a")))
        service.go_on.set()
        assert await call == Empty()
    assert [(it.code, it.reason) for it in details] == [("UNAVAILABLE", "SHUTTING_DOWN")] * 3


async def test_stream_that_answers_drains_where_it_receives() -> None:
    """
    What it has received is not interrupted; waiting for more, and asking for it, are.
    """
    stream = OpenStream("/test.Service/Publish", CALLER, lambda: CALLER, answers=True)
    nothing_comes: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    stream.drain(ShuttingDown())
    with pytest.raises(ShuttingDown):
        await stream.receive(nothing_comes)

    waiting = OpenStream("/test.Service/Publish", CALLER, lambda: CALLER, answers=True)
    receiving = asyncio.create_task(waiting.receive(nothing_comes))
    await asyncio.sleep(0)
    waiting.drain(ShuttingDown())
    with pytest.raises(ShuttingDown):
        await receiving
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()


@pytest.mark.slow
async def test_old_streams_end_after_their_answers() -> None:
    """
    A watch ends at once and a publish stream after what it has received; both say why, and may be
    opened again.
    """
    service = GatedService()
    service.add("a")
    async with serving(service, stream_seconds=0.5) as connection, asyncio.timeout(20):
        watch, publishing = watched(connection, "a"), published(connection, "a")
        await publishing.write(StringValue(value="1"))
        assert await watch.read() == await publishing.read() == Empty()
        details = [await ended(watch), await ended(publishing)]
        assert await watched(connection, "a").read() == Empty()
    assert [(it.code, it.reason) for it in details] == [("UNAVAILABLE", "CONNECTION_AGED")] * 2


def test_connections_last_as_long_as_their_streams() -> None:
    """
    The library cuts no stream off: a connection outlasts the streams that were opened on it.
    """
    grace = dict(OPTIONS)["grpc.max_connection_age_grace_ms"]

    assert grace > STREAM_SECONDS * 1000

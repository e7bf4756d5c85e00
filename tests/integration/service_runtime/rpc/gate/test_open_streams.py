"""
Streams that end because of what became of their callers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from tests.support.gated_service import GatedService, ended, published, serving, watched

pytestmark = pytest.mark.anyio


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
        service.add("a", "reader", "publisher", owners=frozenset({"accounts/*"}))
        await asyncio.sleep(1.5)
        assert not stream.done()
        service.add("a", "reader", owners=frozenset({"accounts/*"}))
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

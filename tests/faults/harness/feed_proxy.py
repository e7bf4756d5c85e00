"""
A server between the dispatch service and the config service that changes what the feed says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc

from shipedge.webhooks.client import channel
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2 as pb,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2_grpc,
)
from tests.support.databases import free_port

Change = Callable[[pb.WatchConfigurationResponse], None]


class FeedProxy(feed_service_pb2_grpc.FeedServiceServicer):
    """
    Passes on every call; *change* is called with each answer of the feed before it is passed on.
    """

    def __init__(self, target: grpc.aio.Channel, change: Change) -> None:
        self._stub = feed_service_pb2_grpc.FeedServiceStub(target)
        self._change = change

    async def WatchConfiguration(
        self, requests: AsyncIterator[pb.WatchConfigurationRequest], context: Any
    ) -> AsyncIterator[pb.WatchConfigurationResponse]:
        """
        Pass on the feed, changed.
        """
        call = self._stub.WatchConfiguration()
        passing = asyncio.ensure_future(_pass_on(requests, call))
        try:
            async for answer in call:
                self._change(answer)
                yield answer
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details(), error.trailing_metadata() or ())
        finally:
            passing.cancel()
            call.cancel()

    async def ReportEndpointEvents(
        self, request: pb.ReportEndpointEventsRequest, context: Any
    ) -> pb.ReportEndpointEventsResponse:
        """
        Pass on a report.
        """
        return await self._stub.ReportEndpointEvents(request)


async def _pass_on(requests: AsyncIterator[Any], call: Any) -> None:
    # The call may have ended before its last acknowledgement.
    with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        async for request in requests:
            await call.write(request)


@asynccontextmanager
async def running_feed_proxy(config_address: str, change: Change) -> AsyncIterator[str]:
    """
    Run the proxy in front of a config service; yield its address.
    """
    server = grpc.aio.server()
    address = f"127.0.0.1:{free_port()}"
    async with channel.connect(config_address, own_connection=True) as target:
        servicer = FeedProxy(target, change)
        feed_service_pb2_grpc.add_FeedServiceServicer_to_server(servicer, server)
        server.add_insecure_port(address)
        await server.start()
        try:
            yield address
        finally:
            await server.stop(0)

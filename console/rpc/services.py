"""
The calls of the console to both services.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc

from shipedge.webhooks.client import channel
from shipedge.webhooks.client.errors import error_of_call
from shipedge.webhooks.config.v1 import config_service_pb2_grpc
from shipedge.webhooks.config.v1.config_service_pb2 import ListEventTypesRequest
from shipedge.webhooks.config.v1.event_type_pb2 import EventType
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2_grpc, payload_service_pb2_grpc

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Services:
    """
    The stubs of both services.
    """

    config: config_service_pb2_grpc.ConfigServiceAsyncStub
    deliveries: delivery_service_pb2_grpc.DeliveryServiceAsyncStub
    payloads: payload_service_pb2_grpc.PayloadServiceAsyncStub

    @staticmethod
    @asynccontextmanager
    async def connected(config: str, dispatch: str) -> AsyncIterator[Services]:
        """
        Yield the services behind two addresses, `host:port`.
        """
        async with channel.connect(config) as first, channel.connect(dispatch) as second:
            yield Services(
                config_service_pb2_grpc.ConfigServiceStub(first),
                delivery_service_pb2_grpc.DeliveryServiceStub(second),
                payload_service_pb2_grpc.PayloadServiceStub(second),
            )

    async def event_types(self) -> list[EventType]:
        """
        Return the whole catalogue. Raises `ApiError`.
        """
        request = ListEventTypesRequest(page_size=1_000)
        return list((await answer(self.config.ListEventTypes(request))).event_types)


async def answer(call: Awaitable[AnswerT]) -> AnswerT:
    """
    Await a call. Raises `ApiError`.
    """
    try:
        return await call
    except grpc.RpcError as refused:
        raise error_of_call(refused) from refused

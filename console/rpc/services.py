"""
The calls of the console to both services.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from console.rpc.tokens import TokenChannel
from shipedge.webhooks.client import channel
from shipedge.webhooks.client.errors import error_of_call
from shipedge.webhooks.config.v1 import config_admin_service_pb2_grpc, config_service_pb2_grpc
from shipedge.webhooks.config.v1.config_service_pb2 import (
    GetSubscriptionRequest,
    ListEventTypesRequest,
)
from shipedge.webhooks.config.v1.event_type_pb2 import EventType
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2_grpc,
    dispatch_admin_service_pb2_grpc,
    payload_service_pb2_grpc,
)

AnswerT = TypeVar("AnswerT")


def _trusted(authority: str) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(Path(authority).read_bytes())


@dataclass(frozen=True, slots=True)
class Channels:
    """
    The connections to both services, which all readers share.
    """

    config: grpc.aio.Channel
    dispatch: grpc.aio.Channel

    @staticmethod
    @asynccontextmanager
    async def connected(config: str, dispatch: str, authority: str) -> AsyncIterator[Channels]:
        """
        Yield channels to two addresses, `host:port`; over TLS if there is a file with the
        *authority* of the services' certificates.
        """
        trusted = _trusted(authority) if authority else None
        async with (
            channel.connect(config, trusted) as first,
            channel.connect(dispatch, trusted) as second,
        ):
            yield Channels(first, second)


@dataclass(frozen=True, slots=True)
class Services:
    """
    The stubs of both services.
    """

    config: config_service_pb2_grpc.ConfigServiceAsyncStub
    admin: config_admin_service_pb2_grpc.ConfigAdminServiceAsyncStub
    dispatch_admin: dispatch_admin_service_pb2_grpc.DispatchAdminServiceAsyncStub
    deliveries: delivery_service_pb2_grpc.DeliveryServiceAsyncStub
    payloads: payload_service_pb2_grpc.PayloadServiceAsyncStub

    @staticmethod
    def over(channels: Channels, token: str) -> Services:
        """
        Return the services, called with the *token* of a reader; without one in development.
        """
        first = TokenChannel(channels.config, token)
        second = TokenChannel(channels.dispatch, token)
        return Services(
            config_service_pb2_grpc.ConfigServiceStub(first),
            config_admin_service_pb2_grpc.ConfigAdminServiceStub(first),
            dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(second),
            delivery_service_pb2_grpc.DeliveryServiceStub(second),
            payload_service_pb2_grpc.PayloadServiceStub(second),
        )

    async def webhook(self, name: str) -> Subscription:
        """
        Return a webhook by its resource name. Raises `ApiError`.
        """
        return await answer(self.config.GetSubscription(GetSubscriptionRequest(name=name)))

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

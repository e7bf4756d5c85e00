"""
Channels to both services.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from shipedge.webhooks.client.channel import SERVICE_CONFIG, connect_blocking
from shipedge.webhooks.client.deadlines import deadlines
from shipedge.webhooks.config.v1.config_admin_service_pb2_grpc import ConfigAdminServiceStub
from shipedge.webhooks.config.v1.config_service_pb2_grpc import ConfigServiceStub
from shipedge.webhooks.dispatch.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from shipedge.webhooks.dispatch.v1.dispatch_admin_service_pb2_grpc import DispatchAdminServiceStub
from shipedge.webhooks.dispatch.v1.payload_service_pb2_grpc import PayloadServiceStub
from shipedge.webhooks.dispatch.v1.publisher_service_pb2_grpc import PublisherServiceStub
from webhooksctl.settings.profiles import Profile, read_file

OTHER_SECONDS = 30.0
"""
The deadline of a call whose method has none of its own.
"""

_Details = namedtuple(  # noqa: PYI024 - attributes that the library reads and does not type
    "_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")
)


class _Deadlines(grpc.UnaryUnaryClientInterceptor):
    """
    Gives each call the deadline that the contract has for its method.
    """

    def __init__(self) -> None:
        self._seconds = deadlines(SERVICE_CONFIG)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        given = client_call_details
        seconds = given.timeout or self._seconds.get(given.method, OTHER_SECONDS)
        bounded = _Details(
            given.method,
            seconds,
            given.metadata,
            given.credentials,
            given.wait_for_ready,
            given.compression,
        )
        return continuation(bounded, request)


@dataclass(frozen=True)
class Services:
    """
    The stubs of both services. Their calls raise `grpc.RpcError`.
    """

    config_channel: grpc.Channel
    dispatch_channel: grpc.Channel

    @property
    def config(self) -> ConfigServiceStub:
        """
        Return the stub for subscriptions and what they refer to.
        """
        return ConfigServiceStub(self.config_channel)

    @property
    def config_admin(self) -> ConfigAdminServiceStub:
        """
        Return the stub for callers and the audit log of the config service.
        """
        return ConfigAdminServiceStub(self.config_channel)

    @property
    def deliveries(self) -> DeliveryServiceStub:
        """
        Return the stub for the log.
        """
        return DeliveryServiceStub(self.dispatch_channel)

    @property
    def payloads(self) -> PayloadServiceStub:
        """
        Return the stub for payloads, tests and explanations.
        """
        return PayloadServiceStub(self.dispatch_channel)

    @property
    def publisher(self) -> PublisherServiceStub:
        """
        Return the stub that publishes.
        """
        return PublisherServiceStub(self.dispatch_channel)

    @property
    def dispatch_admin(self) -> DispatchAdminServiceStub:
        """
        Return the stub for the audit log of the dispatch service.
        """
        return DispatchAdminServiceStub(self.dispatch_channel)

    def close(self) -> None:
        """
        Close both channels.
        """
        self.config_channel.close()
        self.dispatch_channel.close()


def connected(profile: Profile) -> Services:
    """
    Open channels to the services of a profile; they connect with the first call.

    Raises `ProfileInvalidError` if a file of it cannot be read.
    """
    credentials = _credentials(profile) if profile.uses_tls else None
    return Services(
        _channel(profile.config_address, credentials),
        _channel(profile.dispatch_address, credentials),
    )


def _channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    return grpc.intercept_channel(connect_blocking(address, credentials), _Deadlines())


def _credentials(profile: Profile) -> grpc.ChannelCredentials:
    credentials = grpc.ssl_channel_credentials(
        read_file("ca_file", profile.ca_file) or None,
        read_file("key_file", profile.key_file) or None,
        read_file("certificate_file", profile.certificate_file) or None,
    )
    if token := profile.bearer_token():
        caller = grpc.access_token_call_credentials(token)
        return grpc.composite_channel_credentials(credentials, caller)
    return credentials

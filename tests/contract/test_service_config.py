"""
The service config: what it says of each method, and that the client keeps to it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto, MethodOptions

from service_runtime.rpc import interceptors
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import config_service_pb2_grpc
from shipedge.webhooks.config.v1.config_service_pb2 import (
    CreateSubscriptionRequest,
    GetSubscriptionRequest,
)
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.support.databases import free_port
from tests.support.project_files import ROOT

CONFIG: dict[str, Any] = json.loads(channel.SERVICE_CONFIG)
ENTRIES = {
    (name["service"], name["method"]): entry
    for entry in CONFIG["methodConfig"]
    for name in entry["name"]
}
CALLER_RETRIES = "CreateSubscription", "UpdateSubscription", "ResendDelivery", "EraseCustomerData"


def published() -> dict[tuple[str, str], MethodDescriptorProto]:
    """
    Return the methods of the published contract.
    """
    image = FileDescriptorSet.FromString((ROOT / "proto/published.binpb").read_bytes())
    return {
        (f"{file.package}.{service.name}", method.name): method
        for file in image.file
        for service in file.service
        for method in service.method
    }


def test_every_method_has_one_entry() -> None:
    """
    Every method of the contract is named once, and no other one; there is no entry for the rest.
    """
    names = [name for entry in CONFIG["methodConfig"] for name in entry["name"]]

    assert len(names) == len(ENTRIES)
    assert set(ENTRIES) == set(published())


def test_calls_have_a_deadline_and_streams_have_none() -> None:
    """
    The deadline of a call is that which the services use for calls without one.
    """
    for name, method in published().items():
        stream = method.client_streaming or method.server_streaming
        expected = None if stream else f"{interceptors.DEFAULT_DEADLINE_SECONDS:g}s"
        assert ENTRIES[name].get("timeout") == expected, name


def test_only_repeatable_methods_are_retried() -> None:
    """
    Retries are for `UNAVAILABLE` alone, and for methods that the protos call repeatable: all
    that read, and publishing.
    """
    retried = {name for name, entry in ENTRIES.items() if "retryPolicy" in entry}
    repeatable = {
        name
        for name, method in published().items()
        if method.options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    }
    assert retried == repeatable
    methods = {method for _, method in retried}
    assert methods >= {"GetDelivery", "ListAttempts", "WatchAttempts", "PublishEvents"}
    assert methods.isdisjoint(CALLER_RETRIES)
    for entry in CONFIG["methodConfig"]:
        policy = entry.get("retryPolicy", {"retryableStatusCodes": ["UNAVAILABLE"]})
        assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_reads_are_marked() -> None:
    """
    Methods whose names say that they read have no side effects, and no others.
    """
    reads = ("Get", "List", "Watch", "Forward", "Verify", "Preview", "Diff", "Explain")
    for (_, name), method in published().items():
        level = method.options.idempotency_level
        assert (level == MethodOptions.NO_SIDE_EFFECTS) == name.startswith(reads), name


class Unavailable:
    """
    A service that is there at the third call of a method, and keeps the time that calls have.
    """

    def __init__(self) -> None:
        self.calls = {"get": 0, "create": 0}
        self.seconds: list[float] = []

    async def GetSubscription(self, request: Any, context: Any) -> Subscription:
        return await self._answer("get", context)

    async def CreateSubscription(self, request: Any, context: Any) -> Subscription:
        return await self._answer("create", context)

    async def _answer(self, kind: str, context: Any) -> Subscription:
        self.calls[kind] += 1
        self.seconds.append(context.time_remaining())
        if self.calls[kind] < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE)
        return Subscription()


@pytest.fixture
async def service() -> AsyncIterator[tuple[Unavailable, grpc.aio.Channel]]:
    """
    Serve `Unavailable`; yield it with a channel to it.
    """
    address, servicer, server = f"127.0.0.1:{free_port()}", Unavailable(), grpc.aio.server()
    methods: dict[str, Any] = {
        "GetSubscription": (servicer.GetSubscription, GetSubscriptionRequest),
        "CreateSubscription": (servicer.CreateSubscription, CreateSubscriptionRequest),
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            behaviour, request.FromString, Subscription.SerializeToString
        )
        for name, (behaviour, request) in methods.items()
    }
    name = "shipedge.webhooks.config.v1.ConfigService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers)])
    server.add_insecure_port(address)
    await server.start()
    async with channel.connect(address, own_connection=True) as connection:
        yield servicer, connection
    await server.stop(0)


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_client_keeps_to_it(service: tuple[Unavailable, grpc.aio.Channel]) -> None:
    """
    A read is repeated until it is answered, a creation is not; both have the deadline, or the
    caller's.
    """
    servicer, connection = service
    stub = config_service_pb2_grpc.ConfigServiceStub(connection)

    await stub.GetSubscription(GetSubscriptionRequest())
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.CreateSubscription(CreateSubscriptionRequest())
    await stub.GetSubscription(GetSubscriptionRequest(), timeout=120)

    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == {"get": 4, "create": 1}
    *by_default, last = servicer.seconds
    rounded_up = interceptors.DEFAULT_DEADLINE_SECONDS + 1
    assert all(0 < left < rounded_up < last for left in by_default)

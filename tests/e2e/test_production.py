"""
Production mode: mutual TLS, configured keys, HTTPS targets only.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from dispatch_service.payloads import example_event
from service_runtime.process import pair as processes
from service_runtime.process.bootstrap import Holder, bootstrap
from service_runtime.rpc.status import read_error
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import config_service_pb2, config_service_pb2_grpc
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from tests.support import preloaded
from tests.support.databases import free_port
from tests.support.pair import PATIENCE_SECONDS, Subscription, environment_of, eventually, knows
from tests.support.receivers import Receiver

pytestmark = pytest.mark.anyio


def production(directory: Path, receiver: Receiver) -> dict[str, str]:
    """
    Return the settings of a pair in production mode, with new certificates and keys.
    """
    secrets = directory / "secrets"
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on
    holders = {
        "service": Holder(("localhost",), service=True),
        "operator": Holder(("operator",)),
    }
    assert bootstrap(secrets, now, holders)
    config, dispatch = free_port(), free_port()
    return environment_of(
        directory,
        receiver,
        SHIPEDGE_ENVIRONMENT="production",
        SHIPEDGE_CALLERS="localhost=feed,operator=admin+publisher",
        SHIPEDGE_TLS_CERTIFICATE_FILE=str(secrets / "service/certificate.pem"),
        SHIPEDGE_TLS_KEY_FILE=str(secrets / "service/key.pem"),
        SHIPEDGE_TLS_CA_FILE=str(secrets / "service/ca.pem"),
        SHIPEDGE_CONFIG_LISTEN=f"localhost:{config}",
        SHIPEDGE_DISPATCH_LISTEN=f"localhost:{dispatch}",
        SHIPEDGE_DISPATCH_CONFIG_ADDRESS=f"localhost:{config}",
        SHIPEDGE_ALLOWED_TARGETS=f"127.0.0.1:{receiver.port}",
        SHIPEDGE_ENCRYPTION_KEYS_FILE=str(secrets / "service/encryption_keys"),
        SHIPEDGE_HASH_KEY_FILE=str(secrets / "service/hash_key"),
    )


async def probed(package: str, environment: dict[str, str]) -> None:
    """
    Wait until the command `probe` of a service succeeds.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            probe = await preloaded.start(package, environment, arguments=["probe"])
            if await probe.wait() == 0:
                return


async def test_production_over_mutual_tls(tmp_path: Path, receiver: Receiver) -> None:
    """
    The pair works over mutual TLS; HTTP URLs and callers without a certificate are refused.
    """
    environment = production(tmp_path, receiver)
    secrets = tmp_path / "secrets/operator"
    credentials = channel.channel_credentials(
        secrets / "certificate.pem", secrets / "key.pem", secrets / "ca.pem"
    )
    children = {}
    try:
        for package in ("config_service", "dispatch_service"):
            children[package] = await preloaded.start(package, environment)
            await probed(package, environment)
        async with (
            channel.connect(environment["SHIPEDGE_CONFIG_LISTEN"], credentials) as config,
            channel.connect(environment["SHIPEDGE_DISPATCH_LISTEN"], credentials) as dispatch,
        ):
            await _use(config, dispatch, receiver)
        await _refuses_strangers(environment["SHIPEDGE_CONFIG_LISTEN"])
    finally:
        for child in reversed(children.values()):
            assert await processes.stop(child) == 0


async def _use(config: grpc.aio.Channel, dispatch: grpc.aio.Channel, receiver: Receiver) -> None:
    stub = config_service_pb2_grpc.ConfigServiceStub(config)
    wanted = Subscription(
        event_type="orders/shipped",
        payload_version="v2",
        url=receiver.url.replace("https://", "http://"),
        status=Subscription.STATUS_ACTIVE,
    )
    request = config_service_pb2.CreateSubscriptionRequest(
        parent="accounts/100", subscription=wanted
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.CreateSubscription(request)
    detail = read_error(raised.value)
    assert (detail.reason, detail.faults[0].field) == ("URL_INVALID", "subscription.url")
    assert "https" in detail.faults[0].description

    request.subscription.url = receiver.url
    made = await stub.CreateSubscription(request)
    await knows(dispatch, made.name)
    publisher = publisher_service_pb2_grpc.PublisherServiceStub(dispatch)
    event = example_event("orders/shipped")
    await publisher.PublishEvents(publisher_service_pb2.PublishEventsRequest(events=[event]))
    await eventually(lambda: len(receiver.requests) == 1)


async def _refuses_strangers(address: str) -> None:
    """
    Assert that a caller without a certificate of the authority is refused.
    """
    async with channel.connect(address) as stranger:
        stub = config_service_pb2_grpc.ConfigServiceStub(stranger)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListEventTypes(config_service_pb2.ListEventTypesRequest(), timeout=60)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_production_without_keys_does_not_start() -> None:
    """
    All missing settings are reported at once, without values.
    """
    environment = {"SHIPEDGE_ENVIRONMENT": "production", "SHIPEDGE_DISPATCH_LISTN": "x"}
    code, said = await asyncio.to_thread(preloaded.run, "dispatch_service", environment)

    assert code == 1
    assert "SHIPEDGE_ENCRYPTION_KEYS is required in production" in said
    assert "SHIPEDGE_TLS_KEY_FILE is required in production" in said
    assert "SHIPEDGE_CALLERS is required in production" in said
    assert "did you mean SHIPEDGE_DISPATCH_LISTEN?" in said

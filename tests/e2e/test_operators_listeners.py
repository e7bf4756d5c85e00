"""
The operators' listeners: health, reflection and metrics.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import delivery_pb2
from tests.e2e.test_pair import known, settled
from tests.e2e.test_production import production
from tests.support import preloaded
from tests.support.databases import free_port
from tests.support.pair import environment_of, running_pair
from tests.support.receivers import Receiver

pytestmark = pytest.mark.anyio


async def reflected(address: str, credentials: grpc.ChannelCredentials | None = None) -> list[str]:
    """
    List the services that reflection names.
    """
    async with channel.connect(address, credentials) as connection:
        stub = reflection_pb2_grpc.ServerReflectionStub(connection)
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        return [it.name async for answer in call for it in answer.list_services_response.service]


async def by_reflection(version: str, environment: dict[str, str], holder: Path) -> bytes:
    """
    List the callers with buf, which knows of the service by reflection alone.
    """
    method = "shipedge.webhooks.config.v1.ConfigAdminService/ListCallers"
    child = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "buf",
        *("curl", "--protocol", "grpc", "--reflect-protocol", version, "-d", "{}"),
        *("--cacert", holder / "ca.pem", "--cert", holder / "certificate.pem"),
        *("--key", holder / "key.pem", f"https://{environment['SHIPEDGE_CONFIG_LISTEN']}/{method}"),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await child.communicate()
    assert child.returncode == 0
    return answer


async def test_reflection_in_production(tmp_path: Path, receiver: Receiver) -> None:
    """
    Both the operators' listener and, for known callers, the public one have reflection.
    """
    operators = f"127.0.0.1:{free_port()}"
    environment = production(tmp_path, receiver) | {"SHIPEDGE_CONFIG_OPERATORS_LISTEN": operators}
    secrets = tmp_path / "secrets/operator"
    credentials = channel.channel_credentials(
        secrets / "certificate.pem", secrets / "key.pem", secrets / "ca.pem"
    )
    child = await preloaded.start("config_service", environment)
    try:
        await processes.wait_serving(operators, child, "config_service")
        assert "shipedge.webhooks.config.v1.ConfigService" in await reflected(operators)
        async with channel.connect(operators) as connection:
            stub = health_pb2_grpc.HealthStub(connection)
            answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        public = await reflected(environment["SHIPEDGE_CONFIG_LISTEN"], credentials)
        assert "shipedge.webhooks.config.v1.ConfigService" in public
        for version in ("grpc-v1", "grpc-v1alpha"):
            answered = await by_reflection(version, environment, secrets)
            assert json.loads(answered) == {}
    finally:
        assert await processes.stop(child) == 0


async def test_metrics_count_calls_events_and_attempts(tmp_path: Path, receiver: Receiver) -> None:
    """
    Calls, events and attempts are counted, under names without customer data.
    """
    metrics = f"127.0.0.1:{free_port()}"
    environment = environment_of(tmp_path, receiver, SHIPEDGE_DISPATCH_METRICS_LISTEN=metrics)
    async with running_pair(environment) as pair:
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await known(pair, receiver, "counted")
        await settled(pair, delivery_pb2.Delivery.STATE_SUCCEEDED)
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://{metrics}/metrics")).text
    figures = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")
    )
    assert float(figures['webhooks_attempts_total{result="success"}']) >= 1
    assert float(figures["webhooks_events_accepted_total"]) >= 1
    method = "/shipedge.webhooks.dispatch.v1.PublisherService/PublishEvents"
    assert float(figures[f'webhooks_rpc_calls_total{{code="OK",method="{method}"}}']) >= 1
    assert float(figures["webhooks_events_waiting"]) == 0
    assert "accounts/100" not in text

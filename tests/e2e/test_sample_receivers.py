"""
The sample receivers of the specification, run as programs: customers have copied them.

PHP and Node must be installed on the machine; Express is installed here, once.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from dispatch_service.payloads import CONTRACTS
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.config.v1 import config_service_pb2, owner_settings_pb2
from shipedge.webhooks.dispatch.v1 import attempt_pb2, delivery_pb2, payload_service_pb2
from shipedge.webhooks.events.v1 import catalogue_pb2
from tests.e2e.test_payload_service import payloads
from tests.support.databases import free_port
from tests.support.node_packages import SAMPLES, modules, program
from tests.support.pair import PATIENCE_SECONDS, Pair, Subscription

__all__ = ["modules"]

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

OWNER = "accounts/100"

PUBLISHED = [key for key, contract in CONTRACTS.items() if not contract.event_type.system]
ORDERS = [key for key in PUBLISHED if key[0].startswith("orders/")]

_FILTERS: dict[int, dict[str, Any]] = {
    catalogue_pb2.FILTER_KIND_STATUSES: {"statuses": ["shipped"]},
    catalogue_pb2.FILTER_KIND_SHIPPING_METHODS: {"shipping_methods": ["Ground"]},
    catalogue_pb2.FILTER_KIND_STORES: {"store_ids": [12]},
    catalogue_pb2.FILTER_KIND_ORDER_TYPES: {"order_types": ["retail"]},
    catalogue_pb2.FILTER_KIND_SKUS: {"skus": ["PROD-001"]},
}


@asynccontextmanager
async def running(port: int, *command: str, **environment: str) -> AsyncIterator[list[str]]:
    """
    Run a receiver until the block ends; yield the lines that it logs.
    """
    child = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: list[str] = []
    reader = asyncio.create_task(_read(child, lines))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not _listens(port):
                await asyncio.sleep(0.05)
        yield lines
    finally:
        child.terminate()
        await child.wait()
        await reader


async def _read(child: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert child.stdout is not None
    while line := await child.stdout.readline():
        lines.append(line.decode().strip())


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wanted(event_type: EventType, version: str, url: str) -> Subscription:
    return Subscription(
        event_type=event_type.event_type,
        payload_version=version,
        url=url,
        status=Subscription.STATUS_ACTIVE,
        filter=_FILTERS.get(event_type.filter_kind, {}),  # type: ignore[arg-type] # as a mapping
    )


async def _subscribe(pair: Pair, url: str, keys: list[tuple[str, str]]) -> list[str]:
    """
    Subscribe to payload versions; return the names of the subscriptions.
    """
    await pair.config.UpdateOwnerSettings(
        config_service_pb2.UpdateOwnerSettingsRequest(
            settings=owner_settings_pb2.OwnerSettings(
                name=f"{OWNER}/settings",
                features=[catalogue_pb2.OWNER_FEATURE_INVENTORY_MIRROR],
            )
        )
    )
    requests = [
        config_service_pb2.CreateSubscriptionRequest(
            parent=OWNER,
            subscription=_wanted(CATALOGUE.event_types[event_type], version, url),
        )
        for event_type, version in keys
    ]
    # Many at a time, as the dispatch service applies together what comes together.
    made = await asyncio.gather(*map(pair.config.CreateSubscription, requests))
    return [subscription.name for subscription in made]


async def _all_confirmed(pair: Pair, url: str, keys: list[tuple[str, str]]) -> None:
    """
    Send a test event in every payload version; assert that each is answered with 200.
    """
    names = await _subscribe(pair, url, keys)
    await asyncio.gather(*(_send_sample(pair, name) for name in names))
    attempts: list[attempt_pb2.Attempt] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(attempts) < len(keys):
            await asyncio.sleep(0.1)
            attempts = await pair.all_attempts(OWNER)
    refused = [
        (attempt.event_type, attempt.payload_version)
        for attempt in attempts
        if attempt.response_code != 200
    ]
    assert refused == []
    assert {(attempt.event_type, attempt.payload_version) for attempt in attempts} == set(keys)
    states = {delivery.state for delivery in await pair.log_of(OWNER)}
    assert states == {delivery_pb2.Delivery.STATE_SUCCEEDED}


async def _send_sample(pair: Pair, name: str) -> None:
    """
    Send a test event to a subscription as soon as the dispatch service knows it.
    """
    request = payload_service_pb2.SendTestEventRequest(subscription=name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await payloads(pair).SendTestEvent(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(0.02)
            else:
                return


async def test_php_sample_confirms_everything(pair: Pair) -> None:
    """
    The PHP receiver answers 200 to all 102 payload versions, and handles the two that it knows.
    """
    port = free_port()
    command = [program("php"), "-S", f"127.0.0.1:{port}", str(SAMPLES / "prelude.php")]
    async with running(port, *command) as lines:
        await _all_confirmed(pair, f"http://127.0.0.1:{port}/webhook_handler.php", PUBLISHED)
    log = "\n".join(lines)
    assert 'updateOrderStatus [12345,"shipped","1Z999AA10123456784"]' in log
    assert 'sendCustomerNotification ["ORD-001","1Z999AA10123456784"]' in log
    assert 'updateInventory ["PROD-001",' in log


async def test_node_sample_confirms_every_order(pair: Pair, modules: Path) -> None:
    """
    The Express receiver answers 200 to every event type of orders.
    """
    port = free_port()
    command = [program("node"), "-r", str(SAMPLES / "prelude.js")]
    environment = {"PORT": str(port), "NODE_PATH": str(modules)}
    async with running(port, *command, str(SAMPLES / "webhook_handler.js"), **environment) as lines:
        await _all_confirmed(pair, f"http://127.0.0.1:{port}/webhooks/order-shipped", ORDERS)
    assert 'updateOrderStatus [12345,"shipped","1Z999AA10123456784"]' in "\n".join(lines)

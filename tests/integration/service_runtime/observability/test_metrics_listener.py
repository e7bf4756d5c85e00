"""
The metrics listener, against clients that send half a request or none.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.observability import metrics
from service_runtime.observability.metrics_listener import MOST_CONNECTIONS
from service_runtime.process.operators import operators_listeners
from service_runtime.rpc.health import ServerHealth
from shipedge.webhooks.client import channel
from tests.support.databases import free_port


@pytest.fixture(params=["127.0.0.1", "localhost", "0.0.0.0"])
def listen(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    Yield the address of a listener.
    """
    address = f"{request.param}:{free_port()}"
    stop = metrics.serve(address)
    yield f"127.0.0.1:{address.rpartition(':')[2]}"
    stop()


def half_a_request(listen: str, stack: ExitStack) -> socket.socket:
    """
    Connect and send the beginning of a request.
    """
    host, _, port = listen.rpartition(":")
    connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
    connection.sendall(b"GET /metrics HT")
    return connection


@pytest.mark.slow
def test_scrape(listen: str) -> None:
    """
    Prometheus gets the metrics.
    """
    answer = httpx.get(f"http://{listen}/metrics", trust_env=False)

    assert answer.status_code == 200
    assert "webhooks_rpc_calls" in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("listen", ["127.0.0.1"], indirect=True)
def test_half_requests_are_cut(listen: str) -> None:
    """
    A client that sends no more is cut off; with all connections taken, others are closed at once;
    afterwards metrics are served again.
    """
    with ExitStack() as stack:
        waiting = [half_a_request(listen, stack) for _ in range(MOST_CONNECTIONS)]
        extra = half_a_request(listen, stack)
        with suppress(ConnectionResetError):
            assert extra.recv(1) == b""
        for connection in waiting:
            assert connection.recv(1) == b""
    assert httpx.get(f"http://{listen}/metrics", trust_env=False).status_code == 200


@pytest.mark.slow
@pytest.mark.anyio
async def test_operators_listener_closes_silent_connections() -> None:
    """
    Connections that say nothing are closed, and no more than 32 are accepted.
    """
    listen = f"127.0.0.1:{free_port()}"
    health = ServerHealth((), alive)
    await health.check_once()
    async with operators_listeners(listen, "", health, ()):
        with ExitStack() as stack:
            host, port = listen.split(":")
            silent = [
                stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
                for _ in range(40)
            ]
            for connection in silent:
                await asyncio.to_thread(until_closed, connection)
        async with channel.connect(listen) as connected:
            stub = health_pb2_grpc.HealthStub(connected)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def until_closed(connection: socket.socket) -> None:
    """
    Read until the other end closes the connection.
    """
    with suppress(ConnectionResetError):
        while connection.recv(1024):
            pass


async def alive() -> None:
    """
    Find nothing wrong.
    """

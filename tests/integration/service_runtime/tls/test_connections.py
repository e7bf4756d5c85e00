"""
Connections that somebody opens and leaves, at a server with two listeners.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.observability.open_connections import open_connections
from service_runtime.rpc import server
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.server import Listener
from service_runtime.tls.current import CurrentTls
from shipedge.webhooks.client import channel
from tests.support.authority import Authority
from tests.support.databases import free_port

pytestmark = pytest.mark.anyio

CONNECTIONS = 10


@dataclass(frozen=True)
class Served:
    """
    The addresses of both listeners, and credentials for the first.
    """

    listen: str
    token_listen: str
    credentials: grpc.ChannelCredentials


async def alive() -> None:
    """
    Find nothing wrong.
    """


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    """
    Serve health checks at a listener that demands a certificate, and at one that does not.
    """
    authority = Authority(folder)
    tls = CurrentTls(authority.files(authority.issue("localhost")), {"server", "client"})
    served = Served(
        f"localhost:{free_port()}", f"localhost:{free_port()}", tls.channel_credentials()
    )
    tokens = Listener(served.token_listen, tls.server_credentials(ask_certificate=False))
    grpc_server, _ = server.build(
        served.listen,
        interceptors=[],
        credentials=tls.server_credentials(),
        more_listeners=[tokens],
        connections=CONNECTIONS,
    )
    health = ServerHealth((), alive)
    health.add_to(grpc_server)
    await health.check_once()
    await grpc_server.start()
    try:
        yield served
    finally:
        await server.stop(grpc_server, 0)


def connected(address: str, stack: ExitStack) -> socket.socket:
    """
    Open a connection that says nothing.
    """
    host, _, port = address.rpartition(":")
    return stack.enter_context(socket.create_connection((host, int(port)), timeout=20))


def is_closed(connection: socket.socket) -> bool:
    """
    Tell whether the other end has closed a connection.
    """
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def closed(connections: list[socket.socket], count: int) -> None:
    """
    Wait until the server has closed *count* of the connections.
    """
    async with asyncio.timeout(20):
        while sum(map(is_closed, connections)) < count:
            await asyncio.sleep(0.02)


async def check(address: str, credentials: grpc.ChannelCredentials) -> int:
    """
    Ask for the health of the service on a connection of its own.
    """
    async with channel.connect(address, credentials) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True)
    return int(answer.status)


async def test_flood_of_one_listener_leaves_the_other_alone(tmp_path: Path) -> None:
    """
    Half-open handshakes beyond the limit are closed at once, and only at their listener; when
    others end there is room again.
    """
    async with serving(tmp_path) as served:
        with ExitStack() as stack:
            flood = [connected(served.token_listen, stack) for _ in range(5 * CONNECTIONS)]
            await closed(flood, 4 * CONNECTIONS)

            assert await check(served.listen, served.credentials) == 1
            assert sum(map(is_closed, flood)) == 4 * CONNECTIONS
            port = int(served.token_listen.rpartition(":")[2])
            assert open_connections(port) == CONNECTIONS

        # Of no use for a caller here, but let in.
        assert await check(served.token_listen, served.credentials) == 1

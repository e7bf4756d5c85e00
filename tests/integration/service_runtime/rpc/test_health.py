"""
Readiness and liveness over the wire.
"""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.rpc import server
from service_runtime.rpc.health import LIVENESS, NOT_SERVING, SERVING, ServerHealth

pytestmark = pytest.mark.anyio


class Store:
    """
    A store that fails when a test says so.
    """

    def __init__(self) -> None:
        self.problem = ""

    async def check(self) -> None:
        """
        Fail if there is a problem.
        """
        if self.problem:
            raise RuntimeError(self.problem)


async def test_liveness_does_not_ask_the_store() -> None:
    """
    It is SERVING before the first check, without a store, and while the service drains.
    """
    store = Store()
    health = ServerHealth(["test.Service"], store.check)
    grpc_server, port = server.build("127.0.0.1:0", interceptors=[], credentials=None)
    health.add_to(grpc_server)
    await grpc_server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(service: str) -> int:
            request = health_pb2.HealthCheckRequest(service=service)
            return int((await stub.Check(request, timeout=20)).status)

        assert await status(LIVENESS) == SERVING
        await health.check_once()
        assert await status("test.Service") == await status("") == SERVING
        store.problem = "commits: nothing written for 10 s"
        await health.check_once()
        assert await status("test.Service") == await status("") == NOT_SERVING
        assert await status(LIVENESS) == SERVING
        await health.drain()
        assert await status(LIVENESS) == SERVING
    await grpc_server.stop(None)

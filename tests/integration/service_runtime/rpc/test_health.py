"""
Readiness and liveness over the wire.
"""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from service_runtime.process.progress import StalledError
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


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([False], [("NOT_SERVING", "info")]),
        ([True, False], [("SERVING", "info"), ("NOT_SERVING", "warning")]),
        ([False, True, True], [("NOT_SERVING", "info"), ("SERVING", "info")]),
    ],
)
async def test_loss_of_readiness_is_a_warning(
    answers: list[bool], expected: list[tuple[str, str]]
) -> None:
    """
    A service that starts is not ready either: that is the course of events.
    """
    left = iter(answers)

    async def check() -> None:
        if not next(left):
            raise StalledError("commits: nothing written for 10 s")

    health = ServerHealth([], check)
    with capture_logs() as logs:
        for _ in answers:
            await health.check_once()

    assert [(it["state"], it["log_level"]) for it in logs] == expected
    assert all(bool(it["problem"]) == (it["state"] == "NOT_SERVING") for it in logs)


async def test_end_of_a_service_is_no_warning() -> None:
    """
    It does not serve from then on, whatever the store says.
    """

    async def check() -> None:
        pass

    health = ServerHealth([], check)
    await health.check_once()
    with capture_logs() as logs:
        await health.drain()

    assert [(it["problem"], it["log_level"]) for it in logs] == [("draining", "info")]

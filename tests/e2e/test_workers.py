"""
Several worker processes on one port, with PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dispatch_service.domain.transitions import State
from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from tests.e2e.test_pair import shipped
from tests.support import preloaded
from tests.support.pair import DISPATCH, eventually
from tests.support.worker_setup import (
    DISPATCHERS,
    PATIENCE_SECONDS,
    STATES,
    UNFINISHED,
    Stage,
    connected,
    lives,
    publish,
    running_stage,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240), pytest.mark.heavy]

QUICK = {"SHIPEDGE_DISPATCH_DEADLINE": "1s", "SHIPEDGE_DISPATCH_LEASE": "12s"}
PATIENT = {
    "SHIPEDGE_DISPATCH_DEADLINE": "90s",
    "SHIPEDGE_DISPATCH_LEASE": "200s",
    "SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "1000",
}
"""
Attempts last longer than the receiver's gate is closed.
"""


async def probe(stage: Stage) -> int:
    """
    Run the command `probe` beside the service; return its exit code.
    """
    child = await asyncio.create_subprocess_exec(
        *processes.command(DISPATCH), "probe", env=stage.pair.environment
    )
    return await child.wait()


async def load_is_shared(stage: Stage) -> int:
    """
    Connections are spread over both workers, each event is delivered once, metrics are summed, and
    `probe` succeeds; return the number of deliveries.
    """
    published = await stage.published_through_both("shared")

    assert await stage.metric("webhooks_events_accepted_total") == len(published)
    assert await stage.metric("webhooks_deliveries_in_memory") == len(published)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Both workers count all deliveries: this gauge must not be summed.
        while await stage.metric("webhooks_deliveries_unfinished") != len(published):
            await asyncio.sleep(0.1)
    assert await stage.metric("webhooks_workers_running") == 2
    assert await stage.metric("webhooks_workers_configured") == 2
    assert await stage.metric("webhooks_serving") == 2
    stage.gate.opened.set()
    await stage.holds(UNFINISHED, lambda values: values == [0])

    latencies = "webhooks_publish_to_first_attempt_seconds_count"
    assert await stage.metric(latencies) == len(published)
    assert sorted(stage.received()) == sorted(published)
    assert await stage.asked(DISPATCHERS) == [2]
    assert await probe(stage) == 0
    return len(published)


async def supervisor_is_killed(stage: Stage) -> int:
    """
    Workers without their supervisor finish open attempts and release the port, on which others
    start; return the number of deliveries.
    """
    before = len(stage.receiver.requests)
    published = await stage.published_through_both("killed")
    await eventually(lambda: len(stage.receiver.requests) == before + len(published))
    workers = stage.workers()
    await stage.pair.kill(DISPATCH)
    stage.gate.opened.set()
    await eventually(lambda: not any(map(lives, workers)))

    assert await stage.asked(DISPATCHERS) == [0]
    await stage.pair.start(DISPATCH)
    assert len(stage.workers()) == 2
    return len(published)


async def workers_are_stopped(stage: Stage) -> int:
    """
    After SIGTERM health is NOT_SERVING, and open attempts are finished and written; return the
    number of deliveries.
    """
    before = len(stage.receiver.requests)
    published = await stage.published_through_both("stopped")
    await eventually(lambda: len(stage.receiver.requests) == before + len(published))
    workers, child = stage.workers(), stage.pair.children[DISPATCH]
    operators = stage.pair.environment["SHIPEDGE_DISPATCH_OPERATORS_LISTEN"]
    async with channel.connect(operators) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        answers = stub.Watch(health_pb2.HealthCheckRequest())
        while (await answers.read()).status != health_pb2.HealthCheckResponse.SERVING:
            pass  # The supervisor asks the workers once a second.
        child.terminate()
        assert (await answers.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    stage.gate.opened.set()

    assert await stage.pair.stop(DISPATCH) == 0
    assert not any(map(lives, workers))
    assert await stage.asked(DISPATCHERS) == [0]
    return len(published)


async def test_workers_share_their_load_and_end_together(tmp_path: Path, database: str) -> None:
    """
    One life of two workers: they share a port, outlive neither their supervisor nor SIGTERM, and
    leave no attempt open. One test, because three processes take seconds to start.
    """
    async with running_stage(tmp_path, database, PATIENT) as stage:
        deliveries = await load_is_shared(stage)
        deliveries += await supervisor_is_killed(stage)
        assert await stage.asked(STATES) == [f"{State.SUCCEEDED} {deliveries}"]
        deliveries += await workers_are_stopped(stage)
        assert await stage.asked(STATES) == [f"{State.SUCCEEDED} {deliveries}"]


async def test_killed_worker_is_started_again_and_nothing_is_lost(
    tmp_path: Path, database: str
) -> None:
    """
    A killed worker is restarted; its deliveries are completed, and counters do not fall.
    """
    async with running_stage(tmp_path, database, QUICK, is_open=True) as stage:
        async with AsyncExitStack() as stack:
            address = stage.pair.address(DISPATCH)
            stubs = [await connected(stack, address) for _ in range(8)]
            before = stage.workers()
            async with asyncio.TaskGroup() as group:
                for n in range(80):
                    batch = [shipped(f"e{n}-{at}") for at in range(5)]
                    group.create_task(publish(stubs[n % 8], batch))
                await eventually(lambda: len(stage.receiver.requests) >= 20)
                counted = await stage.metric("webhooks_events_accepted_total")
                os.kill(before[0], signal.SIGKILL)
        # Events from before the first snapshot get their deliveries later.
        await stage.holds(STATES, lambda values: values == [f"{State.SUCCEEDED} 400"])
        await eventually(lambda: len(stage.workers()) == 2)

        assert set(stage.received()) == {f"e{n}-{at}" for n in range(80) for at in range(5)}
        assert before[0] not in stage.workers()
        assert before[1] in stage.workers()
        assert await stage.metric("webhooks_events_accepted_total") >= counted


def refused(environment: dict[str, str], *arguments: str) -> str:
    """
    Run a dispatch service that refuses to start; return its error output.
    """
    code, said = preloaded.run(DISPATCH, environment, "serve", *arguments)
    assert code == 1
    return said


def test_several_workers_on_sqlite_are_refused(tmp_path: Path) -> None:
    """
    Several workers on SQLite are refused, and the error names the setting; the flag overrides it.
    """
    environment = {
        **os.environ,
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DATA_DIR": str(tmp_path),
    }

    error = refused({**environment, "SHIPEDGE_DISPATCH_WORKERS": "1"}, "--workers", "2")
    assert "SHIPEDGE_DISPATCH_WORKERS must be 1 on SQLite" in error
    assert "SHIPEDGE_DISPATCH_WORKERS" in refused(environment, "--workers", "many")
    assert list(tmp_path.iterdir()) == []


def test_port_of_another_is_refused(tmp_path: Path, database: str) -> None:
    """
    A port of another process is refused, even if that process shares it.
    """
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        environment = {
            **os.environ,
            "SHIPEDGE_ENVIRONMENT": "development",
            "SHIPEDGE_DATA_DIR": str(tmp_path),
            "SHIPEDGE_DISPATCH_LISTEN": listen,
            "SHIPEDGE_DISPATCH_DATABASE_URL": database,
        }

        assert f"cannot listen on {listen}" in refused(environment, "--workers", "2")

"""
The service dies at every step of a delivery, on SQLite and on PostgreSQL.

No acknowledged event is lost, duplicates stay within their bound, and every request has a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2_grpc
from shipedge.webhooks.events.v1 import failure_kind_pb2
from tests.crash.conftest import Stage
from tests.crash.scenarios import EVENTS, SCENARIOS, ScenarioRun
from tests.crash.stage import Publisher, Replica, all_delivered, shipped
from tests.support.templates import migrated_database

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """
    Yield the URLs of migrated databases, one for each scenario.
    """
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                migrated_database(request, tmp_path, "dispatch_service", f"crash{at}")
            )
            for at in range(len(SCENARIOS))
        ]


@pytest.fixture
async def runs(stage: Stage, databases: list[str]) -> AsyncIterator[list[ScenarioRun]]:
    """
    Yield a run of each scenario; the config service has their subscriptions.
    """
    made = [ScenarioRun(stage, 100 + at, url) for at, url in enumerate(databases)]
    for run in made:
        owner = f"accounts/{run.account}"
        await stage.config.subscribe(
            stage.receiver.url, "orders/shipped", "v2", owner, retry_seconds=(1,)
        )
    yield made
    for replica in stage.replicas:
        await replica.kill()


async def test_nothing_is_lost_wherever_it_dies(runs: list[ScenarioRun]) -> None:
    """
    Every scenario loses nothing and stays within its bound of duplicates.
    """
    limit = asyncio.Semaphore(6)

    async def limited(
        run: ScenarioRun, failpoint: str, scenario: Callable[..., Awaitable[None]]
    ) -> None:
        async with limit:
            try:
                await scenario(run, failpoint)
            except Exception as problem:
                problem.add_note(failpoint)
                raise
            # What it would do without work is taken from the others.
            await run.replica.kill()

    async with asyncio.TaskGroup() as group:
        for run, (failpoint, scenario) in zip(runs, SCENARIOS, strict=True):
            group.create_task(limited(run, failpoint, scenario))


async def test_payload_that_cannot_be_rendered_fails_alone(
    stage: Stage, databases: list[str]
) -> None:
    """
    An error of the renderer fails one delivery; the publish call and other deliveries succeed.
    """
    run = ScenarioRun(stage, 100, databases[0])
    await stage.config.subscribe(stage.receiver.url, "orders/shipped", "v2", "accounts/100")
    await run.replica.start()
    await ready(run.replica, run)
    await run.replica.kill()
    await run.replica.start("render.fail:raise:3")

    await run.publish()

    async with asyncio.timeout(60), run.deliveries() as connection:
        stub = delivery_service_pb2_grpc.DeliveryServiceStub(connection)
        request = pb.ListDeliveriesRequest(parent="accounts/100", filter="state != SUCCEEDED")
        while len(left := (await stub.ListDeliveries(request)).deliveries) != 1:
            await asyncio.sleep(0.1)
    assert left[0].failure_kind == failure_kind_pb2.FAILURE_KIND_RENDER
    assert len(run.publisher.acknowledged) == EVENTS + 1


async def ready(replica: Replica, run: ScenarioRun) -> None:
    """
    Wait until a replica has applied the snapshot: an event is delivered.
    """
    await Publisher([replica.address], run.publisher.acknowledged).publish(
        [shipped("ready", run.account)]
    )
    await all_delivered(run.database_url, 120)

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

from shipedge.webhooks.dispatch.v1 import delivery_pb2, delivery_service_pb2_grpc
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.crash.conftest import Stage
from tests.crash.scenarios import EVENTS, SCENARIOS, Play
from tests.crash.stage import Publisher, Replica, all_delivered, shipped
from tests.support.templates import migrated_database

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


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
async def plays(stage: Stage, databases: list[str]) -> AsyncIterator[list[Play]]:
    """
    Yield a run of each scenario; the config service has their subscriptions.
    """
    made = [Play(stage, 100 + at, url) for at, url in enumerate(databases)]
    for play in made:
        owner = f"accounts/{play.account}"
        await stage.config.subscribe(
            stage.receiver.url, "orders/shipped", "v2", owner, retry_seconds=(1,)
        )
    yield made
    for replica in stage.replicas:
        await replica.kill()


async def test_nothing_is_lost_wherever_it_dies(plays: list[Play]) -> None:
    """
    Every scenario loses nothing and stays within its bound of duplicates.
    """
    limit = asyncio.Semaphore(6)

    async def limited(play: Play, failpoint: str, scenario: Callable[..., Awaitable[None]]) -> None:
        async with limit:
            try:
                await scenario(play, failpoint)
            except Exception as problem:
                problem.add_note(failpoint)
                raise

    async with asyncio.TaskGroup() as group:
        for play, (failpoint, scenario) in zip(plays, SCENARIOS, strict=True):
            group.create_task(limited(play, failpoint, scenario))


async def test_payload_that_cannot_be_rendered_fails_alone(
    stage: Stage, databases: list[str]
) -> None:
    """
    An error of the renderer fails one delivery; the publish call and other deliveries succeed.
    """
    play = Play(stage, 100, databases[0])
    await stage.config.subscribe(stage.receiver.url, "orders/shipped", "v2", "accounts/100")
    await play.replica.start()
    await ready(play.replica, play)
    await play.replica.kill()
    await play.replica.start("render.fail:raise:3")

    await play.publish()

    async with asyncio.timeout(60), play.deliveries() as connection:
        stub = delivery_service_pb2_grpc.DeliveryServiceStub(connection)
        request = pb.ListDeliveriesRequest(parent="accounts/100", filter="state != SUCCEEDED")
        while len(left := (await stub.ListDeliveries(request)).deliveries) != 1:
            await asyncio.sleep(0.1)
    assert left[0].failure_kind == delivery_pb2.FAILURE_KIND_RENDER
    assert len(play.publisher.acknowledged) == EVENTS + 1


async def ready(replica: Replica, play: Play) -> None:
    """
    Wait until a replica has applied the snapshot: an event is delivered.
    """
    await Publisher([replica.address], play.publisher.acknowledged).publish(
        [shipped("ready", play.account)]
    )
    await all_delivered(play.database_url, 60)

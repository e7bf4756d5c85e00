"""
Changes are answered when the dispatch service has applied them, on both databases.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.api import confirmations
from config_service.api.confirmations import Confirmations
from config_service.api.feed import ChangeNotifier
from config_service.store.feed import acknowledgements
from config_service.store.schema import feed_readers
from service_runtime.database.instants import after
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.feed.v1.feed_service_pb2 import WatchConfigurationRequest as Request
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import create

pytestmark = pytest.mark.anyio

STREAM = object()


@dataclass
class Reader:
    """
    A reader of the feed that acknowledges what it got while it is not *stopped*.
    """

    stream: Any
    revision: int = 0
    stopped: bool = False
    got: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        async for answer in self.stream:
            self.revision = answer.revision
            if answer.snapshot_complete:
                self.got.set()
            if not self.stopped:
                await self.stream.write(Request(applied_revision=self.revision))


@asynccontextmanager
async def reader(running: Running, name: str) -> AsyncIterator[Reader]:
    """
    Run a reader that has got the snapshot.
    """
    stream = running.feed.WatchConfiguration()
    await stream.write(Request(replica=name))
    made = Reader(stream)
    following = asyncio.create_task(made.follow())
    try:
        async with asyncio.timeout(20):
            await made.got.wait()
        yield made
    finally:
        stream.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let a change wait for a twentieth of its time.
    """
    monkeypatch.setattr(confirmations, "LONGEST_SECONDS", 0.1)


async def test_answer_comes_after_all_readers_have_applied(running: Running) -> None:
    """
    When a change is answered, each connected reader has applied it.
    """
    async with reader(running, "a") as one, reader(running, "b") as other:
        made = await create(running)
        changed = await running.config.UpdateSubscription(
            pb.UpdateSubscriptionRequest(
                subscription=Subscription(name=made.name, description="changed"),
                update_mask=FieldMask(paths=["description"]),
            )
        )

        assert made.unconfirmed_replicas == changed.unconfirmed_replicas == 0
        assert min(one.revision, other.revision) >= changed.revision > made.revision


@pytest.mark.usefixtures("patience")
async def test_reader_that_does_not_confirm_is_counted(running: Running) -> None:
    """
    A change waits for a bounded time; the answer says how many have not applied it, and other
    answers do not.
    """
    async with reader(running, "a") as one, reader(running, "b") as other:
        one.stopped = other.stopped = True
        made = await create(running)
        read = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))

    assert made.unconfirmed_replicas == 2
    assert read.unconfirmed_replicas == 0


async def test_nobody_is_waited_for_who_has_left(running: Running) -> None:
    """
    A reader that ends its requests is not waited for, and none at all is answered at once.
    """
    alone = await create(running)
    async with reader(running, "a") as left:
        left.stopped = True
        await left.stream.done_writing()
        after_leaving = await create(running)

    assert alone.unconfirmed_replicas == after_leaving.unconfirmed_replicas == 0


@pytest.mark.usefixtures("patience")
async def test_reader_whose_connection_broke_is_waited_for(running: Running) -> None:
    """
    It matches still, and may come back.
    """
    async with reader(running, "a"):
        await create(running)

    assert (await create(running)).unconfirmed_replicas == 1


@pytest.fixture
async def two(running: Running) -> tuple[Confirmations, Confirmations]:
    """
    Return what two replicas of the config service know.
    """
    await create(running)
    return (
        Confirmations(running.engine, ChangeNotifier()),
        Confirmations(running.engine, ChangeNotifier()),
    )


async def newest(engine: AsyncEngine) -> int:
    return (await acknowledgements.read(engine, timedelta(seconds=10))).newest


async def test_replicas_wait_for_readers_of_each_other(
    running: Running, two: tuple[Confirmations, Confirmations]
) -> None:
    """
    A change waits for a reader that is connected to another replica, which stores what is
    acknowledged.
    """
    here, there = two
    there.acknowledge(STREAM, "reader", 0)
    await there.write()

    changing = asyncio.create_task(here.changed())
    there.acknowledge(STREAM, "reader", await newest(running.engine))
    await there.write()

    assert await changing == 0


@pytest.mark.slow
@pytest.mark.usefixtures("patience")
async def test_reader_counts_as_connected_for_a_time(
    running: Running, two: tuple[Confirmations, Confirmations]
) -> None:
    """
    A reader whose stream ended is waited for while it may come back; one that left is not.
    """
    here, there = two
    there.acknowledge(STREAM, "reader", 0)
    await there.write()
    there.disconnected(STREAM, "reader")
    assert (await here.changed(), await there.changed()) == (1, 1)

    async with running.engine.begin() as db:
        old = after(-confirmations.CONNECTED_FOR)
        await db.execute(sa.update(feed_readers).values(seen_time=old))
    assert (await here.changed(), await there.changed()) == (0, 0)

    there.acknowledge(STREAM, "reader", 0)
    await there.write()
    there.left(STREAM, "reader")
    assert await there.changed() == 0
    await there.write()
    assert await here.changed() == 0


@pytest.mark.slow
async def test_changes_that_wait_together_share_their_reads(
    two: tuple[Confirmations, Confirmations], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A hundred changes that wait for one slow reader read as seldom as one.
    """
    here, there = two
    there.acknowledge(STREAM, "slow", 0)
    await there.write()
    monkeypatch.setattr(confirmations, "LONGEST_SECONDS", 0.5)
    reads = 0
    real = acknowledgements.read

    async def read(*given: Any) -> Any:
        nonlocal reads
        reads += 1
        return await real(*given)

    monkeypatch.setattr(acknowledgements, "read", read)
    assert set(await asyncio.gather(*(here.changed() for _ in range(100)))) == {1}
    assert reads <= 0.5 / confirmations.LOOK_SECONDS + 2

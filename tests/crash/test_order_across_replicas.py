"""
Ordered subscriptions on two replicas that are killed in turn.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pytest

from shipedge.webhooks.events.v1 import event_pb2
from tests.crash.conftest import Stage
from tests.crash.stage import Publisher, Replica, all_delivered, shipped
from tests.support.templates import PostgresTemplates

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

ACCOUNT = 100
RESOURCES = 10
LEAST_EACH = 5
KILLS = 3
PAUSE_SECONDS = 0.3


class KillRun:
    """
    Publishers, one for each resource, that publish while replicas are killed.
    """

    def __init__(self, replicas: list[Replica]) -> None:
        self.replicas = replicas
        self.published: dict[int, int] = defaultdict(int)
        self.over = False

    async def publish(self, resource: int) -> None:
        """
        Publish the events of a resource, each after the one before is acknowledged.
        """
        addresses = [replica.address for replica in self.replicas]
        publisher = Publisher(addresses if resource % 2 else addresses[::-1])
        while not self.over or self.published[resource] < LEAST_EACH:
            await publisher.publish([event_of(resource, self.published[resource])])
            self.published[resource] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def kill_in_turn(self) -> None:
        """
        Kill and restart one replica after the other.
        """
        for turn in range(KILLS):
            replica = self.replicas[turn % len(self.replicas)]
            await asyncio.sleep(1)  # So that both replicas have deliveries.
            await replica.kill()
            await replica.start()
        self.over = True


def event_of(resource: int, number: int) -> event_pb2.Event:
    """
    Make the *number*-th event of an order.
    """
    event = shipped(f"{resource}-{number}", ACCOUNT)
    event.sequence = number + 1
    event.order_status_changed.order.id = resource + 1
    return event


@pytest.fixture
def two_replicas_url(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """
    Yield the URL of a migrated dispatch database on PostgreSQL.
    """
    with postgres_templates.copy("dispatch_service") as url:
        yield url


async def test_order_is_kept_across_replicas(stage: Stage, two_replicas_url: str) -> None:
    """
    Acknowledged events of a resource arrive in the order of their publish calls, and none is lost.

    This holds whichever replica accepts or sends an event, and whenever one dies.
    """
    generator = random.Random(1)  # noqa: S311 - no secret
    stage.memory.status = lambda: 500 if generator.random() < 0.1 else 200  # type: ignore[method-assign]
    await stage.config.subscribe(
        stage.receiver.url, "orders/shipped", "v2", ordered=True, retry_seconds=[1] * 15
    )
    replicas = [stage.replica(two_replicas_url) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    run = KillRun(replicas)

    await asyncio.gather(
        run.kill_in_turn(), *(run.publish(resource) for resource in range(RESOURCES))
    )
    await all_delivered(two_replicas_url, 120)

    received = defaultdict(list)
    confirmed = set()
    for request in stage.memory.requests:
        resource, number = map(int, request.event_id.split("-"))
        received[resource].append(number)
        if request.confirmed:
            confirmed.add((resource, number))
    for resource, count in run.published.items():
        assert all(first <= second for first, second in pairwise(received[resource]))
        assert {(resource, number) for number in range(count)} <= confirmed

"""
Processes on one database: they share what they know of endpoints, and the limits.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, SubscriptionLimit
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.replicas import Replicas, SubscriptionLimits
from dispatch_service.domain.outcomes import FailureKind, failed
from dispatch_service.domain.work import Claimed, EndpointKey
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import endpoint_states
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import LEASE, new_delivery, new_event, subscription

pytestmark = pytest.mark.anyio

KEY: EndpointKey = ("accounts/100", "https://bad:443")


async def claim(queue: Queue) -> list[Claimed]:
    """
    Claim all that is due.
    """
    return list(await queue.claim(LEASE, limit=100, per_endpoint=100, full=()))


async def trip(endpoints: Endpoints, replicas: Replicas) -> None:
    """
    Open the breaker of the bad endpoint.
    """
    for _ in range(5):
        endpoints.record_outcome(KEY, failed(FailureKind.CONNECT, "refused"))
    await replicas.sync()


async def pause_over(store: AsyncEngine) -> None:
    """
    Let the pause of all open breakers be over.
    """
    async with writing(store) as db:
        values = {"open_until": after(timedelta(seconds=-1))}
        await db.execute(sa.update(endpoint_states).values(values))


async def test_open_breaker_is_passed_over_without_using_up_attempts(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    While the breaker of an endpoint is open nothing of it is claimed; the others go on.
    """
    bad = [new_delivery(subscription=f"b{n}", endpoint="https://bad:443") for n in range(3)]
    good = new_delivery(subscription="good", endpoint="https://good:443")
    await queue.insert([new_event(*bad, good)], LEASE)
    endpoints = Endpoints(8)
    await trip(endpoints, Replicas(store, endpoints, "one"))

    claimed = await claim(queue)

    assert [it.endpoint for it in claimed] == ["https://good:443"]


async def test_one_probe_goes_out_after_the_pause(queue: Queue, store: AsyncEngine) -> None:
    """
    After the pause one delivery is claimed, and no second one until its result is known.
    """
    bad = [new_delivery(subscription=f"b{n}", endpoint="https://bad:443") for n in range(3)]
    await queue.insert([new_event(*bad)], LEASE)
    endpoints = Endpoints(8)
    await trip(endpoints, Replicas(store, endpoints, "one"))
    await pause_over(store)

    probes = await claim(queue)

    assert [it.number for it in probes] == [1]
    assert await claim(queue) == []


async def test_state_survives_a_restart_and_is_shared(store: AsyncEngine) -> None:
    """
    Another process, or the next one, knows which breakers are open, and for how long still.
    """
    endpoints = Endpoints(8)
    await trip(endpoints, Replicas(store, endpoints, "one"))
    other = Endpoints(8)

    await Replicas(store, other, "two").sync()

    assert list(other.open_breakers()) == [KEY]
    assert other.is_open(KEY)


async def test_limits_are_shared_among_the_living(store: AsyncEngine) -> None:
    """
    Each process takes its share of a subscription's limits; one that has left takes none.
    """
    index = SubscriptionIndex()
    index.put(subscription(max_concurrency=5, rate_limit=10))
    index.put(subscription(subscription_id="free"))
    one, two = (Replicas(store, Endpoints(8), name) for name in ("one", "two"))
    for replica in (one, two, one):
        await replica.sync()
    limits = SubscriptionLimits(index, one)

    assert limits.of("accounts/100", "shipped") == SubscriptionLimit(2, 5.0)
    assert limits.of("accounts/100", "free") is NO_LIMIT
    await two.leave()
    await one.sync()
    assert limits.of("accounts/100", "shipped") == SubscriptionLimit(5, 10.0)

"""
Endpoint queues whose concurrency grows with what the endpoint bears.
"""

from __future__ import annotations

import asyncio

import pytest

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, Ready, SubscriptionLimit
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.memory_usage import Bounds
from tests.support.dispatch_factories import claimed
from tests.unit.dispatch_service.delivery.test_endpoints import WELL

pytestmark = pytest.mark.anyio


class Receivers:
    """
    Answer each request after some turns of the loop; count those that are open, by endpoint.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self.open: dict[str, int] = {}
        self.most_open: dict[str, int] = {}
        self.answered = 0

    async def deliver(self, ready: Ready) -> bool:
        """
        Make one attempt that the receiver confirms.
        """
        name = ready.claimed.endpoint
        self.open[name] = self.open.get(name, 0) + 1
        self.most_open[name] = max(self.most_open.get(name, 0), self.open[name])
        for _ in range(20):
            await asyncio.sleep(0)
        self.open[name] -= 1
        self.answered += 1
        return self.endpoints.record_outcome(ready.claimed.endpoint_key, WELL, 0.1)


def queues_of(
    receivers: Receivers, slots: int, limit: SubscriptionLimit = NO_LIMIT
) -> EndpointQueues:
    """
    Make endpoint queues with so many slots.
    """
    bounds = Bounds(slots, 100_000, share_percent=0)
    endpoints = receivers.endpoints
    return EndpointQueues(receivers.deliver, lambda _: None, endpoints, bounds, lambda *_: limit)


async def deliver_all(
    queues: EndpointQueues, endpoint: str, count: int, *, dispatched: bool = True
) -> None:
    """
    Put deliveries into the queue of an endpoint, and wait until none is left.
    """
    for _ in range(count):
        queues.admit(Ready(claimed(endpoint=endpoint, dispatched=dispatched), b"{}", 1e9))
    while queues.in_memory():
        await asyncio.sleep(0)


async def test_endpoint_with_a_long_queue_gets_more_at_a_time() -> None:
    """
    Up to the most, while new deliveries come and while only old ones are left; then it begins
    afresh.
    """
    receivers = Receivers(Endpoints(8, 64))
    queues = queues_of(receivers, 3000)

    await deliver_all(queues, "https://a:443", 600)

    assert receivers.most_open == {"https://a:443": 64}
    assert receivers.answered == 600
    assert receivers.endpoints.limit(("accounts/100", "https://a:443")) == 8


async def test_backlog_makes_an_endpoint_grow_too() -> None:
    """
    What was claimed from the table may have three quarters of what the endpoint bears.
    """
    receivers = Receivers(Endpoints(8, 64))
    await deliver_all(queues_of(receivers, 3000), "https://a:443", 600, dispatched=False)
    assert receivers.most_open == {"https://a:443": 48}


async def test_limit_of_a_subscription_holds() -> None:
    """
    However much its endpoint bears.
    """
    receivers = Receivers(Endpoints(8, 64))
    await deliver_all(queues_of(receivers, 3000, SubscriptionLimit(12)), "https://a:443", 300)
    assert receivers.most_open["https://a:443"] == 12


async def test_nobody_grows_where_half_of_the_slots_are_taken() -> None:
    """
    Those that have grown go back to what all begin with, so that others find slots as before.
    """
    receivers = Receivers(Endpoints(8, 64))
    queues = queues_of(receivers, 48)
    await asyncio.gather(
        *(deliver_all(queues, f"https://{name}:443", 300) for name in ("a", "b", "c"))
    )
    assert max(receivers.most_open.values()) <= 24
    assert receivers.answered == 900

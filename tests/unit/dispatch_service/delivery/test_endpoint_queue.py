"""
The order in which the deliveries of one endpoint start.
"""

from __future__ import annotations

from datetime import timedelta

from dispatch_service.delivery.endpoint_queue import (
    NO_LIMIT,
    EndpointQueue,
    Ready,
    SubscriptionLimit,
)
from tests.support.dispatch_factories import claimed

NOW = 1000.0


def admit(
    queue: EndpointQueue, subscription: str, limit: SubscriptionLimit = NO_LIMIT, *, first: bool
) -> timedelta | None:
    """
    Put a delivery into a queue, a *first* attempt or one from the table.
    """
    delivery = claimed(subscription=subscription, dispatched=first)
    return queue.admit(Ready(delivery, b"{}", NOW + 45), limit, NOW)


def start(queue: EndpointQueue, *, later_allowed: bool = True) -> Ready:
    """
    Start the next delivery.
    """
    started = queue.start_next(NOW, later_allowed=later_allowed)
    assert started is not None
    return started[1]


def test_three_of_four_turns_are_first_attempts() -> None:
    """
    While both wait, three first attempts start for each delivery from the table.
    """
    queue = EndpointQueue()
    for first in (True, False):
        for _ in range(8):
            admit(queue, "shipped", first=first)

    order = [start(queue).claimed.dispatched for _ in range(8)]

    assert order == [True, True, True, False] * 2


def test_later_ones_wait_while_they_are_not_allowed() -> None:
    """
    Deliveries from the table start only while they are allowed to.
    """
    queue = EndpointQueue()
    admit(queue, "shipped", first=False)

    assert queue.start_next(NOW, later_allowed=False) is None
    assert (queue.later_waiting, queue.wait_seconds(NOW)) == (True, None)
    start(queue)
    assert (queue.waiting, queue.running, queue.running_later) == (0, 1, 1)


def test_limited_subscriptions_take_turns() -> None:
    """
    Subscriptions with limits of their own take turns, however much waits for one of them.
    """
    queue = EndpointQueue()
    limit = SubscriptionLimit(concurrency=8)
    for subscription in ("a", "a", "a", "b"):
        admit(queue, subscription, limit, first=True)

    order = [start(queue).claimed.subscription for _ in range(4)]

    assert order == ["a", "b", "a", "a"]


def test_rate_limit_spaces_starts() -> None:
    """
    After a start a rate limit lets the next one start one interval later, less the burst.
    """
    queue = EndpointQueue()
    limit = SubscriptionLimit(rate=2.0)
    for _ in range(2):
        assert admit(queue, "limited", limit, first=True) is None
    start(queue)

    assert queue.start_next(NOW, later_allowed=True) is None
    wait = queue.wait_seconds(NOW)
    assert wait is not None
    assert 0.4 < wait < 0.5
    assert queue.rates_until == NOW + wait
    assert queue.start_next(NOW + wait, later_allowed=True) is not None


def test_subscription_at_its_concurrency_waits_for_an_end() -> None:
    """
    No time lets a delivery start while its subscription's limit of running attempts is reached.
    """
    queue = EndpointQueue()
    limit = SubscriptionLimit(concurrency=1)
    for _ in range(2):
        admit(queue, "limited", limit, first=True)
    started = queue.start_next(NOW, later_allowed=True)
    assert started is not None

    assert queue.start_next(NOW, later_allowed=True) is None
    assert queue.wait_seconds(NOW) is None
    queue.finish(*started, 0.1)
    assert queue.start_next(NOW, later_allowed=True) is not None

"""
Ordered subscriptions: many resources, and a receiver that fails at random.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.pair import environment_of, eventually, running_pair
from tests.support.receivers import Received, https_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), pytest.mark.heavy]

RESOURCES = 1000
EVENTS_EACH = 3
FAILING_SHARE = 0.15
STUCK = 0
PATIENCE_SECONDS = 240.0
RETRY_SECONDS = (1,) * 10 + (15,) * 10
"""
Even on a slow machine the stuck resource has retries left when all others are done.
"""


class FailingReceiver:
    """
    A receiver that refuses some requests at random.

    It refuses the first event of one resource until all other events have arrived.
    """

    def __init__(self) -> None:
        self.confirmed: dict[int, list[int]] = defaultdict(list)
        self.out_of_order: list[tuple[int, int]] = []
        self.refused = 0
        self.stuck_refused = 0
        self._random = random.Random(1)  # noqa: S311 - no secret

    def others_done(self) -> bool:
        """
        Tell whether all events of all other resources are confirmed.
        """
        done = sum(
            len(numbers) for resource, numbers in self.confirmed.items() if resource != STUCK
        )
        return done >= (RESOURCES - 1) * EVENTS_EACH

    def all_done(self) -> bool:
        """
        Tell whether all events are confirmed.
        """
        return sum(map(len, self.confirmed.values())) >= RESOURCES * EVENTS_EACH

    async def __call__(self, received: Received) -> None:
        """
        Confirm or refuse a request; record one that arrives too early.
        """
        resource, number = map(int, received.headers["x-shipedge-event-id"].split("-"))
        confirmed = self.confirmed[resource]
        if number > len(confirmed):
            self.out_of_order.append((resource, number))
        if resource == STUCK and not self.others_done():
            self.stuck_refused += 1
            await received.answer(500)
        elif self._random.random() < FAILING_SHARE:
            self.refused += 1
            await received.answer(500)
        else:
            confirmed.append(number)
            await received.answer(200)


def shipped(resource: int, number: int) -> event_pb2.Event:
    """
    Make the *number*-th event of an order.
    """
    event = example_event("orders/shipped")
    event.event_id, event.sequence = f"{resource}-{number}", number + 1
    event.order_status_changed.order.id = resource + 1
    return event


async def test_order_is_kept_and_stuck_order_delays_no_other(tmp_path: Path) -> None:
    """
    The events of each of many orders are confirmed once and in order.

    The receiver fails at random. A stuck order delays no other.
    """
    script = FailingReceiver()
    async with https_receiver(script, host="127.0.0.1") as receiver:
        wide = {"SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "64"}
        environment = environment_of(tmp_path, receiver, **wide)
        async with running_pair(environment) as pair:
            made = await pair.subscribe(
                receiver.url, "orders/shipped", "v2", ordered=True, retry_seconds=RETRY_SECONDS
            )
            await pair.known(made.name)
            for number in range(EVENTS_EACH):
                for first in range(0, RESOURCES, 100):
                    results = await pair.publish(
                        *(shipped(resource, number) for resource in range(first, first + 100))
                    )
                    assert all(result.HasField("accepted") for result in results)
            await eventually(script.all_done, PATIENCE_SECONDS)

    assert script.out_of_order == []
    assert all(script.confirmed[number] == list(range(EVENTS_EACH)) for number in range(RESOURCES))
    assert script.refused > RESOURCES * EVENTS_EACH * FAILING_SHARE / 2
    assert script.stuck_refused > 0

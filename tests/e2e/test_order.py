"""
Ordered subscriptions, from outside: many resources, a receiver that fails at random.
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

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

RESOURCES = 1000
EVENTS_EACH = 3
FAILING_SHARE = 0.15
STUCK = 0
PATIENCE_SECONDS = 240.0
RETRY_SECONDS = (1,) * 10 + (15,) * 10
"""
On a slow machine, too, the stuck resource has attempts left when all others are done.
"""


class Moody:
    """
    A receiver that refuses some requests at random, and the first event of one
    resource until all others have arrived.
    """

    def __init__(self) -> None:
        self.taken: dict[int, list[int]] = defaultdict(list)
        self.out_of_order: list[tuple[int, int]] = []
        self.refused = 0
        self.stuck_refused = 0
        self._chance = random.Random(1)  # noqa: S311 - no secret

    def others_done(self) -> bool:
        """
        Tell whether every event of every other resource has been confirmed.
        """
        done = sum(len(it) for resource, it in self.taken.items() if resource != STUCK)
        return done >= (RESOURCES - 1) * EVENTS_EACH

    def all_done(self) -> bool:
        """
        Tell whether everything has been confirmed.
        """
        return sum(map(len, self.taken.values())) >= RESOURCES * EVENTS_EACH

    async def __call__(self, received: Received) -> None:
        """
        Confirm or refuse a request, and note one that comes before its turn.
        """
        resource, number = map(int, received.headers["x-shipedge-event-id"].split("-"))
        confirmed = self.taken[resource]
        if number > len(confirmed):
            self.out_of_order.append((resource, number))
        if resource == STUCK and not self.others_done():
            self.stuck_refused += 1
            await received.answer(500)
        elif self._chance.random() < FAILING_SHARE:
            self.refused += 1
            await received.answer(500)
        else:
            confirmed.append(number)
            await received.answer(200)


def shipped(resource: int, number: int) -> event_pb2.Event:
    """
    Make the event of an order that comes as its *number*-th.
    """
    event = example_event("orders/shipped")
    event.event_id, event.sequence = f"{resource}-{number}", number + 1
    event.order_status_changed.order.id = resource + 1
    return event


async def test_order_is_kept_and_nobody_waits_for_another(tmp_path: Path) -> None:
    """
    With a receiver that fails at random, the events of each of a thousand orders arrive
    in order and exactly once confirmed; an order that is stuck holds up no other.
    """
    moody = Moody()
    async with https_receiver(moody, host="127.0.0.1") as receiver:
        wide = {"SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "64"}
        environment = environment_of(tmp_path, receiver, **wide)
        async with running_pair(environment) as pair:
            made = await pair.subscribe(
                receiver.url, "orders/shipped", "v2", ordered=True, retry_seconds=RETRY_SECONDS
            )
            await pair.known(made.name)
            for number in range(EVENTS_EACH):
                for first in range(0, RESOURCES, 500):
                    results = await pair.publish(
                        *(shipped(it, number) for it in range(first, first + 500))
                    )
                    assert all(it.HasField("accepted") for it in results)
            await eventually(moody.all_done, PATIENCE_SECONDS)

    assert moody.out_of_order == []
    assert all(moody.taken[it] == list(range(EVENTS_EACH)) for it in range(RESOURCES))
    assert moody.refused > RESOURCES * EVENTS_EACH * FAILING_SHARE / 2
    assert moody.stuck_refused > 0

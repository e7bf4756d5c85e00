"""
Lanes: bounded, apart from each other, and emptied in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dispatch_service.lanes import Lanes, Ready
from tests.dispatch_factories import claimed

pytestmark = pytest.mark.anyio


class Gate:
    """
    Attempts that end when they are told to.
    """

    def __init__(self) -> None:
        self.begun: list[Ready] = []
        self.opened = asyncio.Event()

    async def deliver(self, ready: Ready) -> None:
        """
        Begin an attempt and wait.
        """
        self.begun.append(ready)
        await self.opened.wait()


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """
    Yield a gate that is open at the end.
    """
    it = Gate()
    yield it
    it.opened.set()


def lanes_of(gate: Gate, *, concurrency: int = 2, running: int = 100, waiting: int = 100) -> Lanes:
    """
    Make lanes over a gate.
    """
    return Lanes(gate.deliver, concurrency=concurrency, most_running=running, most_waiting=waiting)


def ready(endpoint: str = "https://a:443") -> Ready:
    """
    Make a delivery for an endpoint.
    """
    return Ready(claimed(endpoint=endpoint), b"{}", 0.0)


async def breathe() -> None:
    """
    Let what is ready run.
    """
    for _ in range(5):
        await asyncio.sleep(0)


async def test_lane_has_a_bounded_number_under_way(gate: Gate) -> None:
    """
    An endpoint has so many requests open and no more; the rest waits.
    """
    lanes = lanes_of(gate)
    for _ in range(5):
        lanes.offer(ready())

    await breathe()

    assert len(gate.begun) == 2
    gate.opened.set()
    await breathe()
    assert len(gate.begun) == 5


async def test_slow_endpoint_holds_up_no_other(gate: Gate) -> None:
    """
    A lane that hangs occupies itself only.
    """
    lanes = lanes_of(gate)
    for _ in range(5):
        lanes.offer(ready("https://slow:443"))

    lanes.offer(ready("https://fast:443"))
    await breathe()

    assert "https://fast:443" in {it.claimed.endpoint for it in gate.begun}


async def test_total_is_bounded_and_slots_go_round(gate: Gate) -> None:
    """
    With all slots taken, one that becomes free goes to the lane that waited.
    """
    lanes = lanes_of(gate, running=2)
    for _ in range(4):
        lanes.offer(ready("https://busy:443"))
    lanes.offer(ready("https://late:443"))
    await breathe()
    assert len(gate.begun) == 2

    gate.opened.set()
    await breathe()

    assert gate.begun[2].claimed.endpoint == "https://late:443"
    assert len(gate.begun) == 5


async def test_reserved_places_count(gate: Gate) -> None:
    """
    A place that is kept is not given twice, and can be given back.
    """
    lanes = lanes_of(gate, waiting=1)
    key = ready().claimed.endpoint_key

    assert lanes.reserve(key)
    assert not lanes.reserve(key)
    lanes.give_back(key)
    assert lanes.reserve(key)
    lanes.take_reserved(ready())
    await breathe()
    assert len(gate.begun) == 1


async def test_slow_lane_has_little_room() -> None:
    """
    A lane takes only what it can begin soon, going by how long its attempts take.
    """
    release = asyncio.Event()

    async def slow(_ready: Ready) -> None:
        await release.wait()

    lanes = Lanes(slow, concurrency=1, most_running=10, most_waiting=10_000)
    key = ready().claimed.endpoint_key
    lane_room = 0
    while lanes.reserve(key):
        lane_room += 1
    assert lane_room == 128
    for _ in range(lane_room):
        lanes.give_back(key)
    assert list(lanes.full()) == []
    release.set()


async def test_drain_ends_what_is_under_way_and_returns_the_rest(gate: Gate) -> None:
    """
    Stopping begins nothing more, finishes what was begun and hands back what waited.
    """
    lanes = lanes_of(gate)
    for _ in range(5):
        lanes.offer(ready())
    await breathe()

    draining = asyncio.create_task(lanes.drain())
    await breathe()
    assert not draining.done()
    gate.opened.set()
    left = await draining

    assert len(left) == 3
    assert len(gate.begun) == 2
    assert lanes.running == 0
    assert lanes.room == 0

"""
The endpoint queues of one owner cost the others neither slots nor room.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.memory_usage import Bounds
from tests.support.dispatch_factories import claimed

pytestmark = pytest.mark.anyio

SLOTS = 16
SHARE = 4


class Receivers:
    """
    Attempts by owner, each of which ends when a test says so.
    """

    def __init__(self) -> None:
        self.started: dict[str, list[asyncio.Event]] = {}

    async def deliver(self, ready: Ready) -> bool:
        """
        Hang until `end` is called.
        """
        ended = asyncio.Event()
        self.started.setdefault(ready.claimed.owner, []).append(ended)
        await ended.wait()
        return False

    def running(self, owner: str) -> int:
        """
        Count the attempts of an owner that hang.
        """
        return sum(not it.is_set() for it in self.started.get(owner, ()))

    async def end(self, owner: str, count: int) -> None:
        """
        End so many attempts of an owner.
        """
        hanging = [it for it in self.started[owner] if not it.is_set()]
        for it in hanging[:count]:
            it.set()
            await breathe()


@pytest.fixture
async def receivers() -> AsyncIterator[Receivers]:
    """
    Yield receivers; at the end all that was attempted ends.
    """
    it = Receivers()
    yield it
    for events in it.started.values():
        for event in events:
            event.set()


async def breathe() -> None:
    """
    Let what is ready run.
    """
    for _ in range(5):
        await asyncio.sleep(0)


def queues_of(receivers: Receivers, waiting: int = 1000) -> EndpointQueues:
    """
    Make endpoint queues.
    """
    return EndpointQueues(
        receivers.deliver, lambda _: None, Endpoints(2), Bounds(SLOTS, waiting, share_percent=25)
    )


async def admit(queues: EndpointQueues, owner: str, endpoints: int, each: int = 2) -> None:
    """
    Put deliveries for so many endpoints of an owner into their queues.
    """
    for number in range(endpoints):
        for _ in range(each):
            it = claimed(owner=owner, endpoint=f"https://e{number}:443", dispatched=True)
            queues.admit(Ready(it, b"{}", 0.0))
    await breathe()


async def test_lone_owner_has_all_slots(receivers: Receivers) -> None:
    """
    As long as nobody else needs one.
    """
    queues = queues_of(receivers)

    await admit(queues, "a", 50)

    assert receivers.running("a") == SLOTS


async def test_other_owner_starts_at_once_beside_one_that_hangs(receivers: Receivers) -> None:
    """
    It has as many slots as an owner's share, whatever the other holds.
    """
    queues = queues_of(receivers)
    await admit(queues, "a", 50)

    await admit(queues, "b", 1)

    assert queues.starts_at_once(("b", "https://other:443"))
    assert not queues.starts_at_once(("a", "https://other:443"))
    assert receivers.running("b") == 2
    await admit(queues, "b", 50)
    assert receivers.running("b") == SHARE
    assert receivers.running("a") == SLOTS


async def test_slots_that_end_go_to_owners_with_less(receivers: Receivers) -> None:
    """
    While others wait an owner gets no more than its share; alone it gets all back.
    """
    queues = queues_of(receivers)
    await admit(queues, "a", 50)
    for owner in ("b", "c", "d", "e"):
        await admit(queues, owner, 50)

    await receivers.end("a", SLOTS)

    running = {owner: receivers.running(owner) for owner in "abcde"}
    assert running["a"] <= SHARE
    assert all(running[owner] >= SHARE - 1 for owner in "bcde")
    assert sum(running.values()) <= SLOTS + SHARE
    while any(receivers.running(owner) for owner in "bcde"):
        for owner in "bcde":
            await receivers.end(owner, SLOTS)
    assert receivers.running("a") == SLOTS


async def test_full_memory_of_one_owner_has_room_for_others(receivers: Receivers) -> None:
    """
    Deliveries of another owner are still dispatched directly.
    """
    queues = queues_of(receivers, waiting=100)
    await admit(queues, "a", 58)
    reserve = partial(queues.reserve, subscription="shipped", endpoint="https://e:443", size=2)

    assert not reserve(owner="a")
    assert reserve(owner="b")
    assert queues.claim_room().full_owners == ["a"]
    queues.unreserve(owner="b", endpoint="https://e:443", size=2)


async def test_retries_of_one_owner_leave_slots_for_those_of_others(receivers: Receivers) -> None:
    """
    The part of the slots that retries may take is shared, too.
    """
    queues = queues_of(receivers)
    for owner, count in (("a", 50), ("b", 1)):
        for number in range(count):
            it = claimed(owner=owner, endpoint=f"https://e{number}:443", dispatched=False)
            queues.admit(Ready(it, b"{}", 0.0))
    await breathe()

    assert receivers.running("a") == SLOTS * 3 // 4
    assert receivers.running("b") == 1

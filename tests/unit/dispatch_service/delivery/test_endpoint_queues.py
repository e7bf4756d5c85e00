"""
EndpointQueues: bounded, apart from each other, and emptied in order.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator

import pytest

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, Limit, Ready
from dispatch_service.delivery.endpoint_queues import Bounds, EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.deliveries import Trigger
from dispatch_service.domain.outcomes import FailureKind, failed
from dispatch_service.domain.work import Release
from tests.support.dispatch_factories import claimed

pytestmark = pytest.mark.anyio


class Gate:
    """
    Attempts that end when they are told to.
    """

    def __init__(self) -> None:
        self.begun: list[Ready] = []
        self.begun_at: list[float] = []
        self.released: list[Release] = []
        self.turns: list[float] = []
        self.opened = asyncio.Event()
        self.breaker_opens = False

    async def deliver(self, ready: Ready) -> bool:
        """
        Begin an attempt and wait; its outcome opens the breaker if a test says so.
        """
        self.begun.append(ready)
        self.begun_at.append(time.monotonic())
        await self.opened.wait()
        return self.breaker_opens

    def release(self, release: Release) -> None:
        """
        Note a delivery that is let go, and when its turn comes.
        """
        self.released.append(release)
        if release.delay is not None:
            self.turns.append(time.monotonic() + release.delay.total_seconds())


WIDE = Bounds(100, 100)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """
    Yield a gate that is open at the end.
    """
    it = Gate()
    yield it
    it.opened.set()


def sequences_of(
    gate: Gate,
    *,
    concurrency: int = 2,
    bounds: Bounds = WIDE,
    limit: Limit = NO_LIMIT,
    endpoints: Endpoints | None = None,
) -> EndpointQueues:
    """
    Make endpoint_queues over a gate.
    """
    known = endpoints or Endpoints(concurrency)
    return EndpointQueues(gate.deliver, gate.release, known, bounds, lambda _, __: limit)


def ready(
    endpoint: str = "https://a:443", trigger: Trigger = Trigger.EVENT, body: bytes = b"{}"
) -> Ready:
    """
    Make a delivery for an endpoint.
    """
    first = trigger is Trigger.EVENT
    return Ready(claimed(endpoint=endpoint, trigger=trigger, dispatched=first), body, 0.0)


def reserve(endpoint_queues: EndpointQueues, size: int = 2) -> bool:
    """
    Ask for a place for a delivery to the usual endpoint.
    """
    return endpoint_queues.reserve("accounts/100", "shipped", "https://a:443", size)


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
    endpoint_queues = sequences_of(gate)
    for _ in range(5):
        endpoint_queues.offer(ready())

    await breathe()

    assert len(gate.begun) == 2
    gate.opened.set()
    await breathe()
    assert len(gate.begun) == 5


async def test_slow_endpoint_holds_up_no_other(gate: Gate) -> None:
    """
    A queue that hangs occupies itself only.
    """
    endpoint_queues = sequences_of(gate)
    for _ in range(5):
        endpoint_queues.offer(ready("https://slow:443"))

    endpoint_queues.offer(ready("https://fast:443"))
    await breathe()

    assert "https://fast:443" in {it.claimed.endpoint for it in gate.begun}


async def test_total_is_bounded_and_slots_go_round(gate: Gate) -> None:
    """
    With all slots taken, one that becomes free goes to the queue that waited.
    """
    endpoint_queues = sequences_of(gate, bounds=Bounds(2, 100))
    for _ in range(4):
        endpoint_queues.offer(ready("https://busy:443"))
    endpoint_queues.offer(ready("https://late:443"))
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
    endpoint_queues = sequences_of(gate, bounds=Bounds(100, 1))

    assert reserve(endpoint_queues)
    assert not reserve(endpoint_queues)
    endpoint_queues.unreserve(ready().claimed.endpoint_key, 2)
    assert reserve(endpoint_queues)
    endpoint_queues.take_reserved(ready())
    await breathe()
    assert len(gate.begun) == 1


async def test_memory_is_bounded_by_bytes(gate: Gate) -> None:
    """
    A few large payloads fill the room as well as many small ones.
    """
    endpoint_queues = sequences_of(gate, bounds=Bounds(100, 100, waiting_bytes=1000))

    assert reserve(endpoint_queues, 600)
    assert not reserve(endpoint_queues, 600)
    assert reserve(endpoint_queues, 400)
    assert endpoint_queues.room == 0
    endpoint_queues.unreserve(ready().claimed.endpoint_key, 600)
    endpoint_queues.unreserve(ready().claimed.endpoint_key, 400)
    assert endpoint_queues.room == 75


async def test_slow_lane_has_little_room(gate: Gate) -> None:
    """
    A queue takes only what it can begin soon, going by how long its attempts take.
    """
    endpoint_queues = sequences_of(gate, concurrency=1, bounds=Bounds(10, 10_000))
    room = 0
    while reserve(endpoint_queues):
        room += 1
    assert room == 128
    for _ in range(room):
        endpoint_queues.unreserve(ready().claimed.endpoint_key, 2)
    assert list(endpoint_queues.full()) == []
    assert endpoint_queues.held() == 0


async def test_drain_ends_what_is_under_way_and_lets_the_rest_go(gate: Gate) -> None:
    """
    Stopping begins nothing more, finishes what was begun and gives up the leases of the rest.
    """
    endpoint_queues = sequences_of(gate)
    for _ in range(5):
        endpoint_queues.offer(ready())
    await breathe()

    draining = asyncio.create_task(endpoint_queues.drain(60))
    await breathe()
    assert not draining.done()
    gate.opened.set()
    await draining

    assert len(gate.released) == 3
    assert len(gate.begun) == 2
    assert endpoint_queues.running == 0
    assert endpoint_queues.room == 0


async def test_drain_waits_no_longer_than_it_may(gate: Gate) -> None:
    """
    What is under way for longer than the grace is left; what comes late is let go.
    """
    endpoint_queues = sequences_of(gate)
    endpoint_queues.offer(ready())
    await breathe()

    await endpoint_queues.drain(0.01)
    endpoint_queues.offer(ready())
    endpoint_queues.stop()

    assert endpoint_queues.running == 1
    assert len(gate.released) == 1
    gate.opened.set()
    await endpoint_queues.drain(60)


async def test_retries_leave_slots_to_first_attempts(gate: Gate) -> None:
    """
    However many retries wait, some slots of a queue and of the process are for first attempts.
    """
    endpoint_queues = sequences_of(gate, concurrency=8, bounds=Bounds(16, 1000))
    for endpoint in ("https://a:443", "https://b:443", "https://c:443"):
        for _ in range(20):
            endpoint_queues.offer(ready(endpoint, Trigger.RETRY))
    await breathe()
    assert len(gate.begun) == 12

    endpoint_queues.offer(ready("https://a:443"))
    endpoint_queues.offer(ready("https://d:443"))
    await breathe()

    assert {it.claimed.endpoint for it in gate.begun[12:]} == {"https://a:443", "https://d:443"}
    gate.opened.set()
    for _ in range(20):
        await breathe()
    assert len(gate.begun) == 62
    assert endpoint_queues.held() == 0


async def test_opening_breaker_releases_what_waits_and_takes_no_more(gate: Gate) -> None:
    """
    When the breaker of an endpoint opens its deliveries go back unsent, those on their way too.
    """
    endpoints = Endpoints(2)
    endpoint_queues = sequences_of(gate, endpoints=endpoints)
    assert reserve(endpoint_queues)
    for _ in range(5):
        endpoint_queues.offer(ready())
    await breathe()
    for _ in range(5):
        endpoints.record_outcome(
            ("accounts/100", "https://a:443"), failed(FailureKind.CONNECT, "refused")
        )

    gate.breaker_opens = True
    gate.opened.set()
    await breathe()

    assert (len(gate.begun), len(gate.released)) == (2, 3)
    endpoint_queues.take_reserved(ready())
    assert len(gate.released) == 4
    assert not reserve(endpoint_queues)
    assert list(endpoints.open_breakers()) == [("accounts/100", "https://a:443")]
    assert endpoint_queues.held() == 0


async def test_claimed_probe_begins_while_the_breaker_is_open(gate: Gate) -> None:
    """
    What the table hands out for an endpoint that is open is the probe, and goes out.
    """
    endpoints = Endpoints(2)
    endpoint_queues = sequences_of(gate, endpoints=endpoints)
    for _ in range(5):
        endpoints.record_outcome(
            ("accounts/100", "https://a:443"), failed(FailureKind.CONNECT, "refused")
        )

    endpoint_queues.offer(ready())
    endpoint_queues.offer(ready())
    await breathe()

    assert len(gate.begun) == 1


async def test_subscription_with_a_concurrency_of_its_own(gate: Gate) -> None:
    """
    A subscription's limit holds within its endpoint's.
    """
    endpoint_queues = sequences_of(gate, concurrency=8, limit=Limit(concurrency=2))
    for _ in range(5):
        endpoint_queues.offer(ready())
    await breathe()

    assert len(gate.begun) == 2
    gate.opened.set()
    await breathe()
    assert len(gate.begun) == 5


async def test_subscription_over_its_rate_is_let_go_until_its_turn(gate: Gate) -> None:
    """
    What a rate does not let begin within the horizon goes back with its time, spread out.
    """
    gate.opened.set()
    endpoint_queues = sequences_of(gate, concurrency=8, limit=Limit(rate=1.0))
    for _ in range(30):
        endpoint_queues.offer(ready())
    await breathe()

    assert len(gate.begun) == 1
    assert len(gate.released) == 14
    # However slow we are here, a second lies between most turns.
    apart = [later - earlier for earlier, later in itertools.pairwise(gate.turns)]
    assert len(apart) == 13
    assert statistics.median(apart) == pytest.approx(1, abs=0.1)
    endpoint_queues.release_waiting(("accounts/100", "https://a:443"))


async def test_rate_holds_from_one_attempt_to_the_next(gate: Gate) -> None:
    """
    A limited queue begins again by itself when its time has come, and remembers it while idle.
    """
    gate.opened.set()
    apart = await seconds_apart(gate, Limit(rate=5.0))
    if apart < 0.15:
        # A machine that stood still noted the first too late; a fault comes again.
        apart = await seconds_apart(gate, Limit(rate=5.0))

    assert apart >= 0.15


async def seconds_apart(gate: Gate, limit: Limit) -> float:
    """
    Return how long after one attempt, which has ended, the next began.
    """
    gate.begun_at.clear()
    endpoint_queues = sequences_of(gate, limit=limit)
    endpoint_queues.offer(ready())
    await breathe()
    endpoint_queues.offer(ready())
    async with asyncio.timeout(20):
        while len(gate.begun_at) < 2:
            await asyncio.sleep(0.01)
    return gate.begun_at[1] - gate.begun_at[0]

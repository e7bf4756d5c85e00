"""
The queues of endpoints: bounded, apart from each other, and emptied in order.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator

import pytest

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, Ready, SubscriptionLimit
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.memory_usage import Bounds, ClaimRoom
from dispatch_service.domain.outcomes import FailureKind, failed
from dispatch_service.domain.transitions import Trigger
from dispatch_service.domain.work import Requeue
from tests.support.dispatch_factories import claimed

pytestmark = pytest.mark.anyio


class Gate:
    """
    Attempts that end when they are told to.
    """

    def __init__(self) -> None:
        self.started: list[Ready] = []
        self.started_at: list[float] = []
        self.released: list[Requeue] = []
        self.turns: list[float] = []
        self.opened = asyncio.Event()
        self.breaker_opens = False

    async def deliver(self, ready: Ready) -> bool:
        """
        Start an attempt and wait; its outcome opens the breaker if a test says so.
        """
        self.started.append(ready)
        self.started_at.append(time.monotonic())
        await self.opened.wait()
        return self.breaker_opens

    def release(self, release: Requeue) -> None:
        """
        Record a release, and when the delivery is due again.
        """
        self.released.append(release)
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


def queues_of(
    gate: Gate,
    *,
    concurrency: int = 2,
    bounds: Bounds = WIDE,
    limit: SubscriptionLimit = NO_LIMIT,
    endpoints: Endpoints | None = None,
) -> EndpointQueues:
    """
    Make endpoint queues over a gate.
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
    return endpoint_queues.reserve(
        owner="accounts/100", subscription="shipped", endpoint="https://a:443", size=size
    )


def unreserve(endpoint_queues: EndpointQueues, size: int = 2) -> None:
    """
    Return the slot of `reserve`.
    """
    endpoint_queues.unreserve(owner="accounts/100", endpoint="https://a:443", size=size)


async def breathe() -> None:
    """
    Let what is ready run.
    """
    for _ in range(5):
        await asyncio.sleep(0)


async def test_endpoint_has_a_bounded_number_of_running_attempts(gate: Gate) -> None:
    """
    An endpoint has so many attempts running and no more; the rest waits.
    """
    endpoint_queues = queues_of(gate)
    for _ in range(5):
        endpoint_queues.admit(ready())

    await breathe()

    assert len(gate.started) == 2
    gate.opened.set()
    await breathe()
    assert len(gate.started) == 5


async def test_free_slot_starts_one_more_at_once(gate: Gate) -> None:
    """
    As long as fewer run and wait than may run, of the endpoint and in all.
    """
    endpoint_queues = queues_of(gate, bounds=Bounds(3, 100))
    key, other = ("accounts/100", "https://a:443"), ("accounts/100", "https://b:443")
    assert endpoint_queues.starts_at_once(key)

    endpoint_queues.admit(ready())
    assert endpoint_queues.starts_at_once(key)
    endpoint_queues.admit(ready())
    assert not endpoint_queues.starts_at_once(key)
    assert endpoint_queues.starts_at_once(other)
    endpoint_queues.admit(ready("https://b:443"))
    await breathe()
    assert not endpoint_queues.starts_at_once(other)


async def test_slow_endpoint_holds_up_no_other(gate: Gate) -> None:
    """
    A queue that hangs occupies itself only.
    """
    endpoint_queues = queues_of(gate)
    for _ in range(5):
        endpoint_queues.admit(ready("https://slow:443"))

    endpoint_queues.admit(ready("https://fast:443"))
    await breathe()

    assert "https://fast:443" in {it.claimed.endpoint for it in gate.started}


async def test_total_is_bounded_and_slots_go_round(gate: Gate) -> None:
    """
    With all slots taken, one that becomes free goes to the queue that waited.
    """
    endpoint_queues = queues_of(gate, bounds=Bounds(2, 100))
    for _ in range(4):
        endpoint_queues.admit(ready("https://busy:443"))
    endpoint_queues.admit(ready("https://late:443"))
    await breathe()
    assert len(gate.started) == 2

    gate.opened.set()
    await breathe()

    assert gate.started[2].claimed.endpoint == "https://late:443"
    assert len(gate.started) == 5


async def test_reserved_places_count(gate: Gate) -> None:
    """
    A reserved slot is not given twice, and can be unreserved.
    """
    endpoint_queues = queues_of(gate, bounds=Bounds(100, 1))

    assert reserve(endpoint_queues)
    assert not reserve(endpoint_queues)
    unreserve(endpoint_queues)
    assert reserve(endpoint_queues)
    endpoint_queues.take_reserved(ready())
    await breathe()
    assert len(gate.started) == 1


async def test_memory_is_bounded_by_bytes(gate: Gate) -> None:
    """
    A few large payloads fill the room as well as many small ones.
    """
    endpoint_queues = queues_of(gate, bounds=Bounds(100, 100, waiting_bytes=1000))

    assert reserve(endpoint_queues, 600)
    assert not reserve(endpoint_queues, 600)
    assert reserve(endpoint_queues, 400)
    assert endpoint_queues.claim_room().full_owners == ["accounts/100"]
    unreserve(endpoint_queues, 600)
    unreserve(endpoint_queues, 400)
    assert endpoint_queues.claim_room() == ClaimRoom(75)


async def test_slow_endpoint_has_little_room(gate: Gate) -> None:
    """
    A queue takes only what it can start soon, going by how long its attempts take.
    """
    endpoint_queues = queues_of(gate, concurrency=1, bounds=Bounds(10, 10_000))
    room = 0
    while reserve(endpoint_queues):
        room += 1
    assert room == 128
    for _ in range(room):
        unreserve(endpoint_queues)
    assert list(endpoint_queues.full()) == []
    assert endpoint_queues.in_memory() == 0


async def test_drain_finishes_running_attempts_and_releases_the_rest(gate: Gate) -> None:
    """
    Draining starts nothing more, finishes what was started and releases the leases of the rest.
    """
    endpoint_queues = queues_of(gate)
    for _ in range(5):
        endpoint_queues.admit(ready())
    await breathe()

    draining = asyncio.create_task(endpoint_queues.drain(60))
    await breathe()
    assert not draining.done()
    gate.opened.set()
    await draining

    assert len(gate.released) == 3
    assert len(gate.started) == 2
    assert endpoint_queues.in_memory() == 0
    assert endpoint_queues.claim_room() == ClaimRoom(0)


async def test_drain_waits_no_longer_than_it_may(gate: Gate) -> None:
    """
    An attempt that runs for longer than the grace is left; what comes late is released.
    """
    endpoint_queues = queues_of(gate)
    endpoint_queues.admit(ready())
    await breathe()

    await endpoint_queues.drain(0.01)
    endpoint_queues.admit(ready())
    endpoint_queues.stop()

    assert endpoint_queues.in_memory() == 1
    assert len(gate.released) == 1
    gate.opened.set()
    await endpoint_queues.drain(60)


async def test_retries_leave_slots_to_first_attempts(gate: Gate) -> None:
    """
    However many retries wait, some slots of a queue and of the process are for first attempts.
    """
    endpoint_queues = queues_of(gate, concurrency=8, bounds=Bounds(16, 1000))
    for endpoint in ("https://a:443", "https://b:443", "https://c:443"):
        for _ in range(20):
            endpoint_queues.admit(ready(endpoint, Trigger.RETRY))
    await breathe()
    assert len(gate.started) == 12

    endpoint_queues.admit(ready("https://a:443"))
    endpoint_queues.admit(ready("https://d:443"))
    await breathe()

    assert {it.claimed.endpoint for it in gate.started[12:]} == {"https://a:443", "https://d:443"}
    gate.opened.set()
    for _ in range(20):
        await breathe()
    assert len(gate.started) == 62
    assert endpoint_queues.in_memory() == 0


async def test_opening_breaker_releases_what_waits_and_takes_no_more(gate: Gate) -> None:
    """
    When the breaker of an endpoint opens its deliveries go back unsent, those on their way too.
    """
    endpoints = Endpoints(2)
    endpoint_queues = queues_of(gate, endpoints=endpoints)
    assert reserve(endpoint_queues)
    for _ in range(5):
        endpoint_queues.admit(ready())
    await breathe()
    for _ in range(5):
        endpoints.record_outcome(
            ("accounts/100", "https://a:443"), failed(FailureKind.CONNECT, "refused")
        )

    gate.breaker_opens = True
    gate.opened.set()
    await breathe()

    assert (len(gate.started), len(gate.released)) == (2, 3)
    endpoint_queues.take_reserved(ready())
    assert len(gate.released) == 4
    assert not reserve(endpoint_queues)
    assert list(endpoints.open_breakers()) == [("accounts/100", "https://a:443")]
    assert endpoint_queues.in_memory() == 0


async def test_claimed_probe_starts_while_the_breaker_is_open(gate: Gate) -> None:
    """
    What the table hands out for an endpoint that is open is the probe, and goes out.
    """
    endpoints = Endpoints(2)
    endpoint_queues = queues_of(gate, endpoints=endpoints)
    for _ in range(5):
        endpoints.record_outcome(
            ("accounts/100", "https://a:443"), failed(FailureKind.CONNECT, "refused")
        )

    endpoint_queues.admit(ready())
    endpoint_queues.admit(ready())
    await breathe()

    assert len(gate.started) == 1


async def test_subscription_with_a_concurrency_of_its_own(gate: Gate) -> None:
    """
    A subscription's limit holds within its endpoint's.
    """
    endpoint_queues = queues_of(gate, concurrency=8, limit=SubscriptionLimit(concurrency=2))
    for _ in range(5):
        endpoint_queues.admit(ready())
    await breathe()

    assert len(gate.started) == 2
    gate.opened.set()
    await breathe()
    assert len(gate.started) == 5


async def test_subscription_over_its_rate_is_released_until_its_turn(gate: Gate) -> None:
    """
    What a rate does not let start within the horizon is released until its time, spread out.
    """
    gate.opened.set()
    endpoint_queues = queues_of(gate, concurrency=8, limit=SubscriptionLimit(rate=1.0))
    for _ in range(30):
        endpoint_queues.admit(ready())
    await breathe()

    assert len(gate.started) == 1
    assert len(gate.released) == 14
    # However slow we are here, a second lies between most turns.
    apart = [later - earlier for earlier, later in itertools.pairwise(gate.turns)]
    assert len(apart) == 13
    assert statistics.median(apart) == pytest.approx(1, abs=0.1)
    endpoint_queues.release_waiting(("accounts/100", "https://a:443"))


async def test_rate_holds_from_one_attempt_to_the_next(gate: Gate) -> None:
    """
    A limited queue starts again by itself when its time has come, and remembers it while idle.
    """
    gate.opened.set()
    apart = await seconds_apart(gate, SubscriptionLimit(rate=5.0))
    if apart < 0.15:
        # A machine that stood still recorded the first too late; a fault comes again.
        apart = await seconds_apart(gate, SubscriptionLimit(rate=5.0))

    assert apart >= 0.15


async def seconds_apart(gate: Gate, limit: SubscriptionLimit) -> float:
    """
    Return how long after one attempt, which has ended, the next began.
    """
    gate.started_at.clear()
    endpoint_queues = queues_of(gate, limit=limit)
    endpoint_queues.admit(ready())
    await breathe()
    endpoint_queues.admit(ready())
    async with asyncio.timeout(20):
        while len(gate.started_at) < 2:
            await asyncio.sleep(0.01)
    return gate.started_at[1] - gate.started_at[0]

"""
The deliveries in memory: one lane for each endpoint, with bounded concurrency
and a bounded queue, so that a slow endpoint occupies its own lane only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from dispatch_service.queue import Claimed, EndpointKey

HORIZON_SECONDS = 15.0
"""
A lane takes only what it can begin within this time, well inside the lease.
"""

MOST_ROUNDS = 128
"""
How many deliveries may wait in a lane for each that is under way.
"""

_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Ready:
    """
    A leased delivery with its payload. *lease_end* is on the monotonic clock.

    *body* is None where the payload is gone.
    """

    claimed: Claimed
    body: bytes | None = field(repr=False)
    lease_end: float


Deliver = Callable[[Ready], Awaitable[None]]


@dataclass(slots=True)
class Lane:
    """
    What waits for one endpoint, and how many attempts are under way.
    """

    waiting: deque[Ready] = field(default_factory=deque)
    reserved: int = 0
    running: int = 0
    usual_seconds: float = 0.1

    def room(self, concurrency: int) -> int:
        """
        Return how many more deliveries it can begin soon, going by how long they take.
        """
        rounds = min(max(HORIZON_SECONDS / self.usual_seconds, 1.0), MOST_ROUNDS)
        return int(concurrency * rounds) - len(self.waiting) - self.reserved - self.running

    def note_duration(self, seconds: float) -> None:
        """
        Learn how long an attempt took.
        """
        self.usual_seconds += _SMOOTHING * (max(seconds, 0.001) - self.usual_seconds)

    @property
    def idle(self) -> bool:
        """
        Whether there is nothing to remember of it.
        """
        return not (self.waiting or self.reserved or self.running)


class Lanes:
    """
    All lanes of a process. Used by one event loop only.

    *deliver* makes one attempt and must not raise; *most_waiting* bounds what
    waits in memory over all lanes, *most_running* what is under way.
    """

    def __init__(
        self, deliver: Deliver, *, concurrency: int, most_running: int, most_waiting: int
    ) -> None:
        self._deliver = deliver
        self._concurrency = concurrency
        self._most_running = most_running
        self._most_waiting = most_waiting
        self._lanes: dict[EndpointKey, Lane] = {}
        self._starved: deque[EndpointKey] = deque()
        self._waiting = 0
        self._running = 0
        self._runners: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def room(self) -> int:
        """
        How many more deliveries may wait over all lanes.
        """
        return 0 if self._stopping else max(self._most_waiting - self._waiting, 0)

    @property
    def running(self) -> int:
        """
        How many attempts are under way.
        """
        return self._running

    def held(self) -> int:
        """
        Count the deliveries in memory: those that wait and those under way.
        """
        return self._waiting + self._running

    def reserve(self, key: EndpointKey) -> bool:
        """
        Keep a place for a delivery that is about to be stored; False if there is none.
        """
        if self.room == 0:
            return False
        lane = self._lanes.setdefault(key, Lane())
        if lane.room(self._concurrency) <= 0:
            return False
        lane.reserved += 1
        self._waiting += 1
        return True

    def give_back(self, key: EndpointKey) -> None:
        """
        Return a place that `reserve` kept.
        """
        lane = self._lanes[key]
        lane.reserved -= 1
        self._waiting -= 1
        self._forget_if_idle(key, lane)

    def take_reserved(self, ready: Ready) -> None:
        """
        Put a delivery into the place that `reserve` kept for it.
        """
        self.give_back(ready.claimed.endpoint_key)
        self.offer(ready)

    def offer(self, ready: Ready) -> None:
        """
        Put a leased delivery into its lane; it begins as soon as there is a slot.
        """
        key = ready.claimed.endpoint_key
        lane = self._lanes.setdefault(key, Lane())
        lane.waiting.append(ready)
        self._waiting += 1
        self._start(key, lane)

    def full(self) -> Collection[EndpointKey]:
        """
        Return the endpoints whose lanes can begin nothing more soon.
        """
        return [key for key, lane in self._lanes.items() if lane.room(self._concurrency) <= 0]

    async def drain(self) -> list[Ready]:
        """
        Begin nothing more, wait for what is under way, and return what was waiting.
        """
        self._stopping = True
        left = [ready for lane in self._lanes.values() for ready in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
        self._waiting -= len(left)
        if self._runners:
            await asyncio.wait(self._runners)
        return left

    def _start(self, key: EndpointKey, lane: Lane) -> None:
        if self._stopping or lane.running >= self._concurrency:
            return
        if self._running >= self._most_running:
            self._starved.append(key)
            return
        lane.running += 1
        self._running += 1
        runner = asyncio.get_running_loop().create_task(self._run(key, lane))
        self._runners.add(runner)
        runner.add_done_callback(self._runners.discard)

    async def _run(self, key: EndpointKey, lane: Lane) -> None:
        """
        Work through a lane until it is empty or another lane waits for the slot.
        """
        try:
            while lane.waiting:
                ready = lane.waiting.popleft()
                self._waiting -= 1
                begun = time.monotonic()
                await self._deliver(ready)
                lane.note_duration(time.monotonic() - begun)
                if self._starved:
                    break
        finally:
            lane.running -= 1
            self._running -= 1
            self._pass_on(key, lane)

    def _pass_on(self, key: EndpointKey, lane: Lane) -> None:
        if lane.waiting:
            self._starved.append(key)
        while self._starved and self._running < self._most_running:
            hungry = self._starved.popleft()
            waiting = self._lanes.get(hungry)
            if waiting is not None and waiting.waiting:
                self._start(hungry, waiting)
        self._forget_if_idle(key, lane)

    def _forget_if_idle(self, key: EndpointKey, lane: Lane) -> None:
        if lane.idle and self._lanes.get(key) is lane:
            del self._lanes[key]

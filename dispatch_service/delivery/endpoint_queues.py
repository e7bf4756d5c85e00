"""
The deliveries in memory: one queue for each endpoint, with bounded concurrency
and a bounded queue, so that a slow endpoint occupies its own queue only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from dispatch_service.delivery.endpoint_queue import (
    LATER_SHARE,
    NO_LIMIT,
    EndpointQueue,
    Limit,
    Ready,
    SubscriptionQueue,
)
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.work import EndpointKey, Release

Deliver = Callable[[Ready], Awaitable[bool]]
ReleaseLease = Callable[[Release], None]
LimitOf = Callable[[str, str], Limit]


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    What is bounded over all endpoint_queues: attempts under way, deliveries that wait in
    memory, and the bytes of their payloads.
    """

    running: int
    waiting: int
    waiting_bytes: int = 256 * 1024 * 1024


def no_limit(_owner: str, _subscription: str) -> Limit:
    """
    Limit no subscription.
    """
    return NO_LIMIT


class EndpointQueues:
    """
    All endpoint_queues of a process. Used by one event loop only.

    *deliver* makes one attempt, must not raise, and returns whether the breaker of its
    endpoint opened. *release* gives up a lease unsent, *limit_of* says what an owner's
    subscription is limited to.
    """

    def __init__(
        self,
        deliver: Deliver,
        release: ReleaseLease,
        endpoints: Endpoints,
        bounds: Bounds,
        limit_of: LimitOf = no_limit,
    ) -> None:
        self._deliver = deliver
        self._release = release
        self._endpoints = endpoints
        self._bounds = bounds
        self._limit_of = limit_of
        self._most_later = max(int(bounds.running * LATER_SHARE), 1)
        self._queues: dict[EndpointKey, EndpointQueue] = {}
        # Queues that wait for a slot of the process, and those that wait for one of later attempts.
        self._starved: dict[EndpointKey, None] = {}
        self._starved_later: dict[EndpointKey, None] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._running = 0
        self._running_later = 0
        self._runners: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def room(self) -> int:
        """
        How many deliveries may be claimed now: some room is kept for first attempts.
        """
        if self._stopping or self._waiting_bytes >= self._bounds.waiting_bytes * LATER_SHARE:
            return 0
        return max(int(self._bounds.waiting * LATER_SHARE) - self._waiting, 0)

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

    def reserve(self, owner: str, subscription: str, endpoint: str, size: int) -> bool:
        """
        Keep a place for a delivery that is about to be stored, with a payload of *size*
        bytes; False if there is none.
        """
        key = (owner, endpoint)
        if self._stopping or self._is_full(size) or self._endpoints.is_open(key):
            return False
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = EndpointQueue()
        limit = self._limit_of(owner, subscription)
        if queue.room(self._endpoints.limit(key)) <= 0 or not queue.allows(
            subscription, limit, time.monotonic()
        ):
            self._forget_if_idle(key, queue)
            return False
        queue.reserved += 1
        self._count_waiting(1, size)
        return True

    def unreserve(self, key: EndpointKey, size: int) -> None:
        """
        Return a place that `reserve` kept.
        """
        queue = self._queues[key]
        queue.reserved -= 1
        self._count_waiting(-1, -size)
        self._forget_if_idle(key, queue)

    def take_reserved(self, ready: Ready) -> None:
        """
        Put a delivery into the place that `reserve` kept for it.
        """
        queue = self._queues[ready.claimed.endpoint_key]
        queue.reserved -= 1
        self._count_waiting(-1, -ready.size)
        if self._endpoints.is_open(ready.claimed.endpoint_key):
            self._release(Release(ready.claimed, timedelta()))
            self._forget_if_idle(ready.claimed.endpoint_key, queue)
        else:
            self.offer(ready)

    def offer(self, ready: Ready) -> None:
        """
        Put a leased delivery into its queue; it begins as soon as there is a slot.

        One that its subscription's limit does not let begin soon is let go until then.
        """
        claimed = ready.claimed
        key = claimed.endpoint_key
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = EndpointQueue()
        limit = self._limit_of(claimed.owner, claimed.subscription)
        subqueue = queue.subqueue(claimed.subscription, limit)
        if limit is not NO_LIMIT and (wait := subqueue.over(queue.usual_seconds, time.monotonic())):
            self._release(Release(claimed, wait))
            return
        queue.add(subqueue, ready)
        self._count_waiting(1, ready.size)
        self._fill(key, queue)

    def full(self) -> Collection[EndpointKey]:
        """
        Return the endpoints whose endpoint_queues can begin nothing more soon.
        """
        limit = self._endpoints.limit
        return [key for key, queue in self._queues.items() if queue.room(limit(key)) <= 0]

    def release_waiting(self, key: EndpointKey) -> None:
        """
        Let go of all that waits for an endpoint.
        """
        queue = self._queues.get(key)
        if queue is not None:
            for ready in queue.clear():
                self._count_waiting(-1, -ready.size)
                self._release(Release(ready.claimed, timedelta()))

    def stop(self) -> None:
        """
        Begin nothing more, and let go of what waits.
        """
        self._stopping = True
        for key in self._queues:
            self.release_waiting(key)

    async def drain(self, seconds: float) -> None:
        """
        Begin nothing more, and wait so long for what is under way.
        """
        self.stop()
        if self._runners:
            await asyncio.wait(self._runners, timeout=seconds)

    def _is_full(self, size: int) -> bool:
        return (
            self._waiting >= self._bounds.waiting
            or self._waiting_bytes + size > self._bounds.waiting_bytes
        )

    def _count_waiting(self, count: int, size: int) -> None:
        self._waiting += count
        self._waiting_bytes += size

    def _fill(self, key: EndpointKey, queue: EndpointQueue) -> None:
        """
        Begin what may begin.
        """
        allowed = self._endpoints.limit(key)
        while queue.waiting and queue.running < allowed and not self._stopping:
            if not self._has_slot:
                self._starved[key] = None
                return
            picked = self._pick(key, queue)
            if picked is None:
                return
            runner = asyncio.get_running_loop().create_task(self._run(key, queue, *picked))
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)

    def _pick(
        self, key: EndpointKey, queue: EndpointQueue
    ) -> tuple[SubscriptionQueue, Ready] | None:
        """
        Take what begins next and count it as under way.
        """
        allowed = self._endpoints.limit(key)
        if queue.running >= allowed:
            return None
        now = time.monotonic()
        shared = self._running_later < self._most_later
        found = queue.next(now, later_allowed=shared and queue.later_allowed(allowed))
        if found is None:
            if not shared and queue.later_waiting:
                self._starved_later[key] = None
            return None
        if isinstance(found, float):
            self._wake(key, queue, found)
            return None
        subqueue, ready = found
        queue.began(subqueue, ready, now)
        self._count_waiting(-1, -ready.size)
        self._running += 1
        self._running_later += not ready.first
        return found

    async def _run(
        self, key: EndpointKey, queue: EndpointQueue, subqueue: SubscriptionQueue, ready: Ready
    ) -> None:
        """
        Work through a queue until nothing in it may begin or another queue waits for the slot.
        """
        while True:
            begun = time.monotonic()
            try:
                if await self._deliver(ready):
                    self.release_waiting(key)
                # What else ends in this turn ends first, then as many begin (ADR 22).
                await asyncio.sleep(0)
            finally:
                queue.ended(subqueue, ready, time.monotonic() - begun)
                self._running -= 1
                self._running_later -= not ready.first
            if self._starved or self._stopping or not queue.waiting:
                break
            picked = self._pick(key, queue)
            if picked is None:
                break
            subqueue, ready = picked
        self._pass_on(key, queue)

    def _pass_on(self, key: EndpointKey, queue: EndpointQueue) -> None:
        if self._starved and queue.waiting:
            self._starved[key] = None
        else:
            self._fill(key, queue)
        while self._starved_later and self._has_slot and self._running_later < self._most_later:
            self._feed(self._starved_later)
        while self._starved and self._has_slot:
            self._feed(self._starved)
        self._forget_if_idle(key, queue)

    @property
    def _has_slot(self) -> bool:
        return self._running < self._bounds.running

    def _feed(self, starved: dict[EndpointKey, None]) -> None:
        key = next(iter(starved))
        del starved[key]
        queue = self._queues.get(key)
        if queue is not None:
            self._fill(key, queue)

    def _wake(self, key: EndpointKey, queue: EndpointQueue, seconds: float) -> None:
        if not queue.wakes:
            queue.wakes = True
            asyncio.get_running_loop().call_later(seconds, self._woken, key, queue)

    def _woken(self, key: EndpointKey, queue: EndpointQueue) -> None:
        queue.wakes = False
        self._fill(key, queue)
        self._forget_if_idle(key, queue)

    def _forget_if_idle(self, key: EndpointKey, queue: EndpointQueue) -> None:
        rest = queue.rest(time.monotonic())
        if rest is None or self._queues.get(key) is not queue:
            return
        if rest > 0:
            self._wake(key, queue, rest)
        else:
            del self._queues[key]

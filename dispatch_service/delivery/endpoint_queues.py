"""
The deliveries in memory: one queue for each endpoint, with a bounded length and a bounded number
of running attempts, so that a slow endpoint occupies its own queue only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from dispatch_service.delivery.endpoint_queue import (
    NO_LIMIT,
    EndpointQueue,
    Ready,
    Started,
    SubscriptionLimit,
)
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.memory_usage import (
    Bounds,
    ClaimRoom,
    MemoryUsage,
    OwnerTurns,
    OwnerUsage,
)
from dispatch_service.domain.transitions import WaitReason
from dispatch_service.domain.work import Claimed, EndpointKey, Requeue
from service_runtime.observability.tasks import start_watched

Deliver = Callable[[Ready], Awaitable[bool]]
ReleaseLease = Callable[[Requeue], None]
LimitOf = Callable[[str, str], SubscriptionLimit]
Hold = Callable[[Claimed, float], None]
MayStart = Callable[[OwnerUsage], bool]


class EndpointQueues:
    """
    All endpoint queues of a process. Used by one event loop only.

    *deliver* makes one attempt, must not raise, and returns whether the breaker of its endpoint
    opened. *release* ends a lease without an attempt, *limit_of* returns the limit of a
    subscription by its owner and its id. *hold* is called with each delivery that is taken in and
    the end of its lease.
    """

    def __init__(
        self,
        deliver: Deliver,
        release: ReleaseLease,
        endpoints: Endpoints,
        bounds: Bounds,
        limit_of: LimitOf = lambda _owner, _id: NO_LIMIT,
        hold: Hold = lambda _claimed, _lease_end: None,
    ) -> None:
        self._deliver = deliver
        self._release = release
        self._endpoints = endpoints
        self._horizon = bounds.horizon
        self._limit_of = limit_of
        self._hold = hold
        self._queues: dict[EndpointKey, EndpointQueue] = {}
        # Queues that wait for a slot of the process, and those that wait for one that retries and
        # resends may take.
        self._starved = OwnerTurns()
        self._starved_later = OwnerTurns()
        self.usage = MemoryUsage(bounds)
        self._runners: set[asyncio.Task[None]] = set()
        self._stopping = False

    def claim_room(self) -> ClaimRoom:
        """
        Return how many deliveries may be claimed now, and of which owners none.
        """
        return ClaimRoom(0) if self._stopping else self.usage.claim_room()

    def in_memory(self) -> int:
        """
        Count the deliveries that wait or are being attempted.
        """
        return self.usage.waiting + self.usage.running

    def reserve(self, *, owner: str, subscription: str, endpoint: str, size: int) -> bool:
        """
        Reserve a slot for a delivery that is about to be stored, with a payload of *size*
        bytes; return False if there is none.
        """
        key = (owner, endpoint)
        if self._stopping or self._endpoints.is_open(key):
            return False
        queue = self._queues.get(key) or self._opened(key)
        if (
            not self.usage.has_place(queue.usage, size)
            or queue.room(self._allowed(key)) <= 0
            or not queue.allows(subscription, self._limit_of(owner, subscription), time.monotonic())
        ):
            self._forget_if_idle(key, queue)
            return False
        queue.reserved += 1
        self.usage.add_waiting(queue.usage, size)
        return True

    def unreserve(self, *, owner: str, endpoint: str, size: int) -> None:
        """
        Return a slot that `reserve` reserved.
        """
        key = (owner, endpoint)
        queue = self._queues[key]
        queue.reserved -= 1
        self.usage.remove_waiting(queue.usage, size)
        self._forget_if_idle(key, queue)

    def take_reserved(self, ready: Ready) -> None:
        """
        Put a delivery into its reserved place; if the endpoint's breaker has opened since, release
        its lease.
        """
        claimed = ready.claimed
        self._hold(claimed, ready.lease_end)
        key = (claimed.owner, claimed.endpoint)
        queue = self._queues[key]
        queue.reserved -= 1
        if self._endpoints.is_open(key):
            self.usage.remove_waiting(queue.usage, ready.size)
            self._release(Requeue(claimed, reason=WaitReason.BREAKER))
            self._forget_if_idle(key, queue)
        else:
            self._admit(key, queue, ready)

    def admit(self, ready: Ready) -> None:
        """
        Put a claimed delivery into its queue. If the endpoint's breaker is open, it is the probe.
        """
        key = ready.claimed.endpoint_key
        queue = self._queues.get(key) or self._opened(key)
        self.usage.add_waiting(queue.usage, ready.size)
        self._endpoints.probe_claimed(key)
        self._admit(key, queue, ready)

    def full(self) -> Collection[EndpointKey]:
        """
        Return the endpoints whose queues can start nothing more soon.
        """
        return [key for key, it in self._queues.items() if it.room(self._allowed(key)) <= 0]

    def starts_at_once(self, key: EndpointKey) -> bool:
        """
        Tell whether the attempt of one more delivery to an endpoint would start now.
        """
        queue = self._queues.get(key)
        is_free = queue is None or queue.waiting + queue.running < self._allowed(key)
        return is_free and self.usage.has_slot(self.usage.of(key[0]))

    def release_waiting(self, key: EndpointKey, reason: WaitReason = WaitReason.BACKLOG) -> None:
        """
        Release the leases of all deliveries that wait for an endpoint.
        """
        if (queue := self._queues.get(key)) is not None:
            for ready in queue.pop_all():
                self.usage.remove_waiting(queue.usage, ready.size)
                self._release(Requeue(ready.claimed, reason=reason))

    def stop(self) -> None:
        """
        Start nothing more, and release the leases of what waits.
        """
        self._stopping = True
        for key in self._queues:
            self.release_waiting(key)

    async def drain(self, seconds: float) -> None:
        """
        Start nothing more, and wait at most so long for the attempts that are running.
        """
        self.stop()
        if self._runners:
            await asyncio.wait(self._runners, timeout=seconds)

    def _allowed(self, key: EndpointKey) -> int:
        limit = self._endpoints.limit(key)
        return min(limit, self._endpoints.cap) if self.usage.crowded else limit

    def _opened(self, key: EndpointKey) -> EndpointQueue:
        usage = self.usage.queue_opened(key[0])
        queue = self._queues[key] = EndpointQueue(usage=usage, horizon=self._horizon)
        return queue

    def _admit(self, key: EndpointKey, queue: EndpointQueue, ready: Ready) -> None:
        claimed = ready.claimed
        now = time.monotonic()
        delay = queue.admit(ready, self._limit_of(claimed.owner, claimed.subscription), now)
        if delay is None:
            self._start_waiting(key, queue, now)
        else:
            self.usage.remove_waiting(queue.usage, ready.size)
            self._release(Requeue(claimed, delay, WaitReason.THROTTLED))

    def _start_waiting(self, key: EndpointKey, queue: EndpointQueue, now: float) -> None:
        allowed = self._allowed(key)
        while queue.waiting and queue.running < allowed and not self._stopping:
            if not self.usage.has_slot(queue.usage):
                self._starved.add(queue.usage, key)
                return
            started = self._start_next(key, queue, now, allowed)
            if started is None:
                return
            runner = start_watched(self._run(key, queue, started), "delivery")
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        if queue.waiting and queue.running >= allowed:
            self._endpoints.want_more(key)

    def _start_next(
        self, key: EndpointKey, queue: EndpointQueue, now: float, allowed: int
    ) -> Started | None:
        if queue.running >= allowed:
            return None
        has_later_slot = self.usage.has_later_slot(queue.usage)
        later_allowed = has_later_slot and queue.later_allowed(allowed)
        started = queue.start_next(now, later_allowed=later_allowed)
        if started is None:
            if has_later_slot and not later_allowed:
                self._endpoints.want_more(key)
            # The end of an attempt of this queue looks here again; all else must be arranged for.
            if (seconds := queue.wait_seconds(now)) is not None:
                self._set_timer(key, queue, seconds)
            elif not has_later_slot and queue.later_waiting:
                self._starved_later.add(queue.usage, key)
            return None
        _, ready = started
        self.usage.start(queue.usage, ready.size, later=not ready.claimed.dispatched)
        return started

    async def _run(self, key: EndpointKey, queue: EndpointQueue, started: Started | None) -> None:
        """
        Make attempts until no delivery of the queue may start or another queue needs the slot.
        """
        now = time.monotonic()
        while started is not None:
            start, (subqueue, ready) = now, started
            try:
                if await self._deliver(ready):
                    self.release_waiting(key, WaitReason.BREAKER)
                # All attempts that end in this turn of the loop end before the next start (ADR 22).
                await asyncio.sleep(0)
            finally:
                now = time.monotonic()
                queue.finish(subqueue, ready, now - start)
                self.usage.finish(queue.usage, later=not ready.claimed.dispatched)
            if self._starved.waiting or self._stopping or not queue.waiting:
                break
            if not self.usage.has_slot(queue.usage):
                break  # what its owner holds beyond its share is left to others
            started = self._start_next(key, queue, now, self._allowed(key))
            if queue.waiting:
                self._start_waiting(key, queue, now)  # it may get more than before
        self._pass_on_slot(key, queue, now)

    def _pass_on_slot(self, key: EndpointKey, queue: EndpointQueue, now: float) -> None:
        if self._starved.waiting and queue.waiting:
            self._starved.add(queue.usage, key)  # behind the queues that wait for a slot already
        else:
            self._start_waiting(key, queue, now)
        if self._starved_later.waiting:
            self._start_starved(self._starved_later, self._has_later_slot, now)
        if self._starved.waiting:
            self._start_starved(self._starved, self.usage.has_slot, now)
        self._forget_if_idle(key, queue)

    def _has_later_slot(self, usage: OwnerUsage) -> bool:
        return self.usage.has_slot(usage) and self.usage.has_later_slot(usage)

    def _start_starved(self, starved: OwnerTurns, may_start: MayStart, now: float) -> None:
        while (key := starved.take(may_start)) is not None:
            if (queue := self._queues.get(key)) is not None:
                self._start_waiting(key, queue, now)

    def _set_timer(self, key: EndpointKey, queue: EndpointQueue, seconds: float) -> None:
        if not queue.timer_is_set:
            queue.timer_is_set = True
            asyncio.get_running_loop().call_later(seconds, self._timer_fired, key, queue)

    def _timer_fired(self, key: EndpointKey, queue: EndpointQueue) -> None:
        queue.timer_is_set = False
        self._start_waiting(key, queue, time.monotonic())
        self._forget_if_idle(key, queue)

    def _forget_if_idle(self, key: EndpointKey, queue: EndpointQueue) -> None:
        if queue.waiting or queue.reserved or queue.running or self._queues.get(key) is not queue:
            return
        seconds = queue.rates_until - time.monotonic()
        if seconds > 0:
            # Forgotten now, its rate limits would start afresh with the next delivery.
            self._set_timer(key, queue, seconds)
        else:
            del self._queues[key]
            self._endpoints.forget_grown(key)
            self.usage.queue_closed(key[0], queue.usage)

"""
What waits in memory for one endpoint: in subqueues, one for each subscription that
has limits of its own and one for all others. No I/O; `now` is the monotonic
clock in seconds and is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.work import Claimed

HORIZON_SECONDS = 15.0
"""
A queue takes only what it can begin within this time, well inside the lease.
"""

MOST_ROUNDS = 128
"""
How many deliveries may wait in a queue for each that is under way.
"""

LATER_SHARE = 0.75
"""
What retries and resends may take of anything; the rest is for first attempts.
"""

FIRST_TURNS = 3
"""
So many first attempts begin for each other one, while both wait.
"""

BURST_SECONDS = 0.02
"""
How far a rate limit may be caught up with after the clock was late.
"""

_SMOOTHING = 0.2


class Ready(Confidential, frozen=True, gc=False):
    """
    A leased delivery with its payload. *lease_end* is on the monotonic clock.

    *body* is None where the payload is gone.
    """

    claimed: Claimed
    body: bytes | None
    lease_end: float

    @property
    def first(self) -> bool:
        """
        Whether it comes from its publisher at once: what waited in the table, for its first
        attempt or for another, has waited already.
        """
        return self.claimed.dispatched

    @property
    def size(self) -> int:
        """
        Return the bytes that it holds.
        """
        return len(self.body or b"")


@dataclass(frozen=True, slots=True)
class Limit:
    """
    A subscription's share for this process: requests at a time and in a second; 0 for none.
    """

    concurrency: int = 0
    rate: float = 0.0


NO_LIMIT = Limit()


@dataclass(slots=True)
class SubscriptionQueue:
    """
    Deliveries that share a limit.
    """

    limit: Limit = NO_LIMIT
    first: deque[Ready] = field(default_factory=deque)
    later: deque[Ready] = field(default_factory=deque)
    running: int = 0
    turn: int = 0
    next_start: float = 0.0
    next_free: float = 0.0

    def __len__(self) -> int:
        return len(self.first) + len(self.later)

    def wait(self, now: float) -> float | None:
        """
        Return the seconds until one more may begin, None while too many are under way.
        """
        if self.limit.concurrency and self.running >= self.limit.concurrency:
            return None
        return max(self.next_start - now, 0.0)

    def pop(self, *, later_allowed: bool) -> Ready | None:
        """
        Take the next one: of four turns three are first attempts', while both wait.
        """
        if self.first and not (self.later and later_allowed and self.turn >= FIRST_TURNS):
            self.turn += 1
            return self.first.popleft()
        if self.later and later_allowed:
            self.turn = 0
            return self.later.popleft()
        return None

    def began(self, now: float) -> None:
        """
        Count one that begins.
        """
        self.running += 1
        if self.limit.rate:
            since = max(self.next_start, now - BURST_SECONDS)
            self.next_start = since + 1 / self.limit.rate

    def over(self, usual_seconds: float, now: float) -> timedelta | None:
        """
        Say when to come again for what its limit cannot begin soon; None where it can.
        """
        per_second = self._per_second(usual_seconds)
        if per_second is None or len(self) < max(per_second * HORIZON_SECONDS, 1):
            return None
        self.next_free = max(self.next_free, now + len(self) / per_second) + 1 / per_second
        return timedelta(seconds=self.next_free - now)

    def _per_second(self, usual_seconds: float) -> float | None:
        rates = [self.limit.rate] if self.limit.rate else []
        if self.limit.concurrency:
            rates.append(self.limit.concurrency / usual_seconds)
        return min(rates, default=None)


@dataclass(slots=True)
class EndpointQueue:
    """
    The subqueues of one endpoint, and how many attempts are under way.
    """

    subqueues: dict[str, SubscriptionQueue] = field(default_factory=dict)
    waiting: int = 0
    reserved: int = 0
    running: int = 0
    running_later: int = 0
    usual_seconds: float = 0.1
    wakes: bool = False

    def room(self, allowed: int) -> int:
        """
        Return how many more deliveries it can begin soon, going by how long they take.
        """
        rounds = min(max(HORIZON_SECONDS / self.usual_seconds, 1.0), MOST_ROUNDS)
        return int(allowed * rounds) - self.waiting - self.reserved - self.running

    def subqueue(self, subscription: str, limit: Limit) -> SubscriptionQueue:
        """
        Return the subqueue of a subscription.
        """
        key = subscription if limit is not NO_LIMIT else ""
        subqueue = self.subqueues.get(key)
        if subqueue is None:
            subqueue = self.subqueues[key] = SubscriptionQueue()
        subqueue.limit = limit
        return subqueue

    def allows(self, subscription: str, limit: Limit, now: float) -> bool:
        """
        Tell whether a subscription's limit lets one more begin at once.
        """
        if limit is NO_LIMIT:
            return True
        subqueue = self.subqueue(subscription, limit)
        return len(subqueue) == 0 and subqueue.wait(now) == 0

    def add(self, subqueue: SubscriptionQueue, ready: Ready) -> None:
        """
        Put a delivery at the end of a subqueue.
        """
        (subqueue.first if ready.first else subqueue.later).append(ready)
        self.waiting += 1

    def next(
        self, now: float, *, later_allowed: bool
    ) -> tuple[SubscriptionQueue, Ready] | float | None:
        """
        Take what begins next, the subqueues in turn; else the seconds until something may,
        or None where only the end of an attempt can change that.
        """
        soonest = None
        for key in list(self.subqueues):
            subqueue = self.subqueues[key]
            if not len(subqueue):
                continue
            wait = subqueue.wait(now)
            if wait == 0 and (ready := subqueue.pop(later_allowed=later_allowed)) is not None:
                self._to_the_back(key, subqueue)
                return subqueue, ready
            if wait:
                soonest = wait if soonest is None else min(soonest, wait)
        return soonest

    def began(self, subqueue: SubscriptionQueue, ready: Ready, now: float) -> None:
        """
        Count an attempt that begins.
        """
        subqueue.began(now)
        self.waiting -= 1
        self.running += 1
        self.running_later += not ready.first

    def ended(self, subqueue: SubscriptionQueue, ready: Ready, seconds: float) -> None:
        """
        Count an attempt that has ended, and learn how long it took.
        """
        subqueue.running -= 1
        self.running -= 1
        self.running_later -= not ready.first
        self.usual_seconds += _SMOOTHING * (max(seconds, 0.001) - self.usual_seconds)

    def later_allowed(self, allowed: int) -> bool:
        """
        Tell whether one more retry or resend may be under way.
        """
        return self.running_later < max(int(allowed * LATER_SHARE), 1)

    @property
    def later_waiting(self) -> bool:
        """
        Whether retries or resends wait.
        """
        return any(subqueue.later for subqueue in self.subqueues.values())

    def clear(self) -> Iterator[Ready]:
        """
        Take out all that waits.
        """
        for subqueue in self.subqueues.values():
            yield from subqueue.first
            yield from subqueue.later
            subqueue.first.clear()
            subqueue.later.clear()
        self.waiting = 0

    def rest(self, now: float) -> float | None:
        """
        Return how long an idle queue is remembered for its rate limits, None if it is not idle.
        """
        if self.waiting or self.reserved or self.running:
            return None
        return max((subqueue.next_start - now for subqueue in self.subqueues.values()), default=0.0)

    def _to_the_back(self, key: str, subqueue: SubscriptionQueue) -> None:
        if len(self.subqueues) > 1:
            del self.subqueues[key]
            self.subqueues[key] = subqueue

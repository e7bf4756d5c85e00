"""
The deliveries that wait in memory for one endpoint.

They are in one queue for each subscription that has limits of its own, and one for all other
subscriptions. No I/O; `now` is passed in and is the time of the monotonic clock in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto

from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.leases import LONGEST_HORIZON
from dispatch_service.domain.memory_usage import LATER_SHARE, OwnerUsage
from dispatch_service.domain.work import Claimed

MOST_ROUNDS = 128
"""
How many deliveries may wait in a queue for each that is running.
"""

FIRST_TURNS = 3
"""
So many first attempts start for each other one, while both wait.
"""

BURST_SECONDS = 0.02
"""
How far a rate limit may be caught up with after the clock was late.
"""

_SMOOTHING = 0.2


class MissingBody(Enum):
    """
    Why a claimed delivery has no payload to send.

    A payload that could not be rendered is no such cause: its delivery is stored as FAILED,
    and a resend makes it due only after it has rendered the payload.
    """

    GONE = auto()  # erased, or pruned after its retention: the table has no row
    SEAL_BROKEN = auto()  # damaged, or not the payload of this delivery
    UNREAD = auto()  # not opened this time: its key is not known here, or the store did not answer


class Ready(Confidential, frozen=True, gc=False):
    """
    A leased delivery with its payload. *lease_end* and *accepted_at*, when its event was accepted,
    are on the monotonic clock; *deaths* is how many processes have died while it was a suspect on
    the wire.
    """

    claimed: Claimed
    body: bytes | MissingBody
    lease_end: float
    deaths: int = 0
    accepted_at: float = 0.0

    @property
    def size(self) -> int:
        """
        Return the bytes of the payload.
        """
        return 0 if isinstance(self.body, MissingBody) else len(self.body)


@dataclass(frozen=True, slots=True)
class SubscriptionLimit:
    """
    What a subscription may use in this process: requests at a time and in a second; 0 for no limit.
    """

    concurrency: int = 0
    rate: float = 0.0


NO_LIMIT = SubscriptionLimit()


@dataclass(slots=True)
class SubscriptionQueue:
    """
    Deliveries that share a limit: *first* attempts that come directly from their publisher, and
    *later* ones that were claimed from the table.
    """

    limit: SubscriptionLimit = NO_LIMIT
    first: deque[Ready] = field(default_factory=deque)
    later: deque[Ready] = field(default_factory=deque)
    running: int = 0
    first_in_a_row: int = 0
    next_start: float = 0.0
    next_admission: float = 0.0

    def __len__(self) -> int:
        return len(self.first) + len(self.later)

    def wait_seconds(self, now: float) -> float | None:
        """
        Return the seconds until one more may start, None while too many are running.
        """
        if self.limit.concurrency and self.running >= self.limit.concurrency:
            return None
        return max(self.next_start - now, 0.0)

    def pop(self, *, later_allowed: bool) -> Ready | None:
        """
        Take the next one: of four turns three are first attempts', while both wait.
        """
        if self.first and not (self.later and later_allowed and self.first_in_a_row >= FIRST_TURNS):
            self.first_in_a_row += 1
            return self.first.popleft()
        if self.later and later_allowed:
            self.first_in_a_row = 0
            return self.later.popleft()
        return None

    def excess_delay(self, usual_seconds: float, now: float, horizon: float) -> timedelta | None:
        """
        Return the delay after which one more delivery should be claimed again; None if the limit
        lets it start within *horizon* seconds. Each delivery gets a later delay than the one
        before.
        """
        per_second = self._starts_per_second(usual_seconds)
        if per_second is None or len(self) < max(per_second * horizon, 1):
            return None
        earliest = max(self.next_admission, now + len(self) / per_second)
        self.next_admission = earliest + 1 / per_second
        return timedelta(seconds=self.next_admission - now)

    def _starts_per_second(self, usual_seconds: float) -> float | None:
        rates = [self.limit.rate] if self.limit.rate else []
        if self.limit.concurrency:
            rates.append(self.limit.concurrency / usual_seconds)
        return min(rates, default=None)


Started = tuple[SubscriptionQueue, Ready]
"""
A delivery whose attempt starts, with the queue that it came from.
"""


@dataclass(slots=True)
class EndpointQueue:
    """
    The subscription queues of one endpoint, and how many of its attempts are running.

    It takes only what it can start within *horizon* seconds; see `leases`. *usage* is that of
    its owner.
    *usual_seconds* is a moving average of how long its attempts take. *rates_until* is when the
    last rate limit lets its next delivery start: so long an idle queue must be remembered.
    """

    subqueues: dict[str, SubscriptionQueue] = field(default_factory=dict)
    usage: OwnerUsage = field(default_factory=OwnerUsage)
    waiting: int = 0
    reserved: int = 0
    running: int = 0
    running_later: int = 0
    horizon: float = LONGEST_HORIZON
    usual_seconds: float = 0.1
    rates_until: float = 0.0
    timer_is_set: bool = False

    def room(self, allowed: int) -> int:
        """
        Return how many more deliveries it can start soon, going by how long they take.
        """
        rounds = min(max(self.horizon / self.usual_seconds, 1.0), MOST_ROUNDS)
        return int(allowed * rounds) - self.waiting - self.reserved - self.running

    def allows(self, subscription: str, limit: SubscriptionLimit, now: float) -> bool:
        """
        Tell whether a subscription's limit lets one more start at once.
        """
        if limit is NO_LIMIT:
            return True
        subqueue = self._subqueue(subscription, limit)
        return len(subqueue) == 0 and subqueue.wait_seconds(now) == 0

    def admit(self, ready: Ready, limit: SubscriptionLimit, now: float) -> timedelta | None:
        """
        Put a delivery at the end of its subscription's queue, and return None.

        If the subscription's limit does not let it start soon, it is not put there; the result
        is the delay after which it should be claimed again.
        """
        claimed = ready.claimed
        subqueue = self._subqueue(claimed.subscription, limit)
        if limit is not NO_LIMIT:
            delay = subqueue.excess_delay(self.usual_seconds, now, self.horizon)
            if delay is not None:
                return delay
        # What waited in the table, for its first attempt or for another, has waited already.
        (subqueue.first if claimed.dispatched else subqueue.later).append(ready)
        self.waiting += 1
        return None

    def start_next(self, now: float, *, later_allowed: bool) -> Started | None:
        """
        Take the delivery whose turn it is and count it as running; None if none may start now.

        Subscription queues take turns.
        """
        for key, subqueue in self.subqueues.items():
            if subqueue.wait_seconds(now) == 0:
                ready = subqueue.pop(later_allowed=later_allowed)
                if ready is not None:
                    # The dictionary changes, so this must be the last step of the loop.
                    self._move_to_end(key, subqueue)
                    self._count_start(subqueue, ready, now)
                    return subqueue, ready
        return None

    def wait_seconds(self, now: float) -> float | None:
        """
        Return the seconds until a rate limit lets one more start; None if no time does, but only
        the end of an attempt.
        """
        if self.rates_until <= now:
            return None
        waits = (it.wait_seconds(now) for it in self.subqueues.values() if len(it))
        return min((it for it in waits if it), default=None)

    def finish(self, subqueue: SubscriptionQueue, ready: Ready, seconds: float) -> None:
        """
        Count an attempt that has ended after so many seconds.
        """
        subqueue.running -= 1
        self.running -= 1
        self.running_later -= not ready.claimed.dispatched
        self.usual_seconds += _SMOOTHING * (max(seconds, 0.001) - self.usual_seconds)

    def later_allowed(self, allowed: int) -> bool:
        """
        Tell whether one more retry or resend may be running.
        """
        return self.running_later < max(int(allowed * LATER_SHARE), 1)

    @property
    def later_waiting(self) -> bool:
        """
        Whether retries or resends wait.
        """
        return any(subqueue.later for subqueue in self.subqueues.values())

    def pop_all(self) -> Iterator[Ready]:
        """
        Take out all that waits.
        """
        for subqueue in self.subqueues.values():
            yield from subqueue.first
            yield from subqueue.later
            subqueue.first.clear()
            subqueue.later.clear()
        self.waiting = 0

    def _subqueue(self, subscription: str, limit: SubscriptionLimit) -> SubscriptionQueue:
        key = subscription if limit is not NO_LIMIT else ""
        subqueue = self.subqueues.get(key)
        if subqueue is None:
            subqueue = self.subqueues[key] = SubscriptionQueue()
        subqueue.limit = limit
        return subqueue

    def _count_start(self, subqueue: SubscriptionQueue, ready: Ready, now: float) -> None:
        self.waiting -= 1
        self.running += 1
        self.running_later += not ready.claimed.dispatched
        subqueue.running += 1
        if subqueue.limit.rate:
            since = max(subqueue.next_start, now - BURST_SECONDS)
            subqueue.next_start = since + 1 / subqueue.limit.rate
            self.rates_until = max(self.rates_until, subqueue.next_start)

    def _move_to_end(self, key: str, subqueue: SubscriptionQueue) -> None:
        if len(self.subqueues) > 1:
            del self.subqueues[key]
            self.subqueues[key] = subqueue

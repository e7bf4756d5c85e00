"""
The clock of one exchange: its deadline, and how long its steps take.

Thousands of deadlines are open at a time and hardly any of them passes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum

from dispatch_service.domain.outcomes import Timings
from shipedge.webhooks.failures.causes import Cause

TICK_SECONDS = 0.01
"""
A deadline passes at most this much late, and never early.
"""

STALL_SECONDS = 0.5
GRACE_SECONDS = 0.05
"""
After a process has stood still for so long (SIGSTOP, a machine that is suspended), answers that
have arrived meanwhile have so long to be read before deadlines pass.
"""

REST_SECONDS = 2.0
"""
For so long the rest of an answer is waited for whose status line has come.
"""

_MICROSECONDS = 1_000_000


class Phase(Enum):
    """
    A step of an exchange, with the cause of a failure where the deadline passes during it.
    """

    DNS = Cause.TIMEOUT_DNS
    CONNECT = Cause.TIMEOUT_CONNECT
    TLS = Cause.TIMEOUT_TLS
    RESPONSE = Cause.TIMEOUT_FIRST_BYTE


class ExchangeClock:
    """
    Measure the steps of one exchange, and call `on_expiry` when its deadline passes.

    It reads the monotonic clock itself: the time of some event loops moves in milliseconds.
    """

    __slots__ = (
        "_bucket",
        "_clocks",
        "_durations",
        "_entered_at",
        "_needs_body",
        "_phase",
        "_started_at",
        "deadline_at",
        "expired",
        "on_expiry",
    )

    def __init__(
        self,
        clocks: ExchangeClocks,
        started_at: float,
        deadline_at: float,
        *,
        needs_body: bool = False,
    ) -> None:
        self.deadline_at = deadline_at
        self.expired = False
        self.on_expiry: Callable[[], object] | None = None
        self._started_at = started_at
        self._entered_at = 0.0
        self._phase: Phase | None = None
        # Made with the first phase: an exchange on a kept-alive connection enters none.
        self._durations: dict[Phase, float] | None = None
        self._clocks = clocks
        self._needs_body = needs_body
        self._bucket = clocks.bucket(deadline_at)
        self._bucket.add(self)

    @property
    def phase(self) -> Phase:
        """
        Return the current step.
        """
        return self._phase or Phase.RESPONSE

    @property
    def limit_seconds(self) -> float:
        """
        Return how long after its beginning the deadline passes.
        """
        return self.deadline_at - self._started_at

    @property
    def is_over(self) -> bool:
        """
        Whether the deadline has passed, even if nobody was told yet.
        """
        return time.monotonic() >= self.deadline_at

    def enter(self, phase: Phase) -> None:
        """
        End the step before and begin another.
        """
        now = time.monotonic()
        if self._durations is None:
            self._durations = {}
        if self._phase is not None:
            self._durations[self._phase] = now - self._entered_at
        self._phase, self._entered_at = phase, now

    def timings(self, first_byte_at: float | None = None) -> Timings:
        """
        Return how long each step took, with the current one ending now.
        """
        now = time.monotonic()
        first_byte_us = None if first_byte_at is None else _micros(first_byte_at - self._started_at)
        total_us = _micros(now - self._started_at)
        if self._phase is None or self._durations is None:
            return Timings(first_byte_us=first_byte_us, total_us=total_us)
        ended = {**self._durations, self._phase: now - self._entered_at}
        took = {phase: _micros(seconds) for phase, seconds in ended.items()}
        return Timings(
            dns_us=took.get(Phase.DNS),
            connect_us=took.get(Phase.CONNECT),
            tls_us=took.get(Phase.TLS),
            first_byte_us=first_byte_us,
            total_us=total_us,
        )

    def hurry(self) -> None:
        """
        Bring the deadline near, because the outcome is known; not if the body is needed.
        """
        hurried_at = time.monotonic() + REST_SECONDS
        if self._needs_body or hurried_at >= self.deadline_at:
            return
        self.deadline_at = hurried_at
        self._bucket.discard(self)
        self._bucket = self._clocks.bucket(hurried_at)
        self._bucket.add(self)

    def stop(self) -> None:
        """
        Cancel the deadline; the exchange has ended.
        """
        self.on_expiry = None
        self._bucket.discard(self)

    def expire(self) -> None:
        """
        End the current step of the exchange, because the deadline has passed.
        """
        self.expired = True
        if self.on_expiry is not None:
            self.on_expiry()


class ExchangeClocks:
    """
    Start clocks, and let their deadlines pass. For one event loop.

    One timer looks at buckets of ten milliseconds: a timer of the event loop for each exchange
    would cost more than the signature of its request.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, set[ExchangeClock]] = {}
        self._next_tick = 0
        self._in_grace = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float, *, needs_body: bool = False) -> ExchangeClock:
        """
        Start a clock whose deadline passes in so many seconds, or soon after the status has come
        if only that matters and not *needs_body*.
        """
        now = time.monotonic()
        if self._timer is None:
            self._next_tick = math.ceil(now / TICK_SECONDS)
            self._set_timer()
        return ExchangeClock(self, now, now + seconds, needs_body=needs_body)

    def bucket(self, deadline_at: float) -> set[ExchangeClock]:
        """
        Return the clocks whose deadlines pass together with this one.
        """
        tick = max(math.ceil(deadline_at / TICK_SECONDS), self._next_tick)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
        return bucket

    def close(self) -> None:
        """
        Let no deadline pass any more; closing a connection ends the exchange on it.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._buckets.clear()

    def _set_timer(self, seconds: float = TICK_SECONDS) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _tick(self) -> None:
        """
        Expire the clocks of all buckets that are due, and set the timer while any are left.
        """
        loop = asyncio.get_running_loop()
        now = time.monotonic() / TICK_SECONDS
        stood_still = (now - self._next_tick) * TICK_SECONDS > STALL_SECONDS
        self._in_grace = stood_still and not self._in_grace
        if self._in_grace:
            # Timers come before what can be read: the answer would be too late by our fault.
            self._set_timer(GRACE_SECONDS)
            return
        while self._next_tick <= now:
            for clock in self._buckets.pop(self._next_tick, ()):
                # Each in a call of its own: one that raises must not keep the others back.
                loop.call_soon(clock.expire)
            self._next_tick += 1
        self._timer = None
        if self._buckets:
            self._set_timer()


def _micros(seconds: float) -> int:
    """
    Return whole microseconds.
    """
    return round(seconds * _MICROSECONDS)

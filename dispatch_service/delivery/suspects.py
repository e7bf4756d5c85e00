"""
Suspects: deliveries whose last attempts were all interrupted, so that one of them may be what
kills the process. Most are innocent: they only waited in memory when it died.

They are attempted one at a time, those first of which the fewest processes have died, while
other deliveries go on. So a process that dies tells which it was.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from msgspec.structs import replace

from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.held_leases import HeldLeases, LeaseEnd
from dispatch_service.delivery.request import webhook_id
from dispatch_service.delivery.suspect_attempts import SuspectAttempts
from dispatch_service.domain.transitions import POISON_DEATHS
from dispatch_service.domain.work import Claimed, Requeue

LINE_SECONDS = 5.0
"""
A suspect waits in memory only if its turn comes within this time, well inside its lease.
"""

MOST_WAITING = 64
"""
How many suspects wait in memory.
"""

SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
"""
When a suspect is claimed again that does not wait in memory.
"""

IDLE_SECONDS = 1.0

_SMOOTHING = 0.2

log = structlog.get_logger()


class SuspectLine:
    """
    The order in which suspects are attempted. No I/O; `now` is the monotonic clock in seconds.

    It is closed at first, until *opens_at* at least. *usual_seconds* is a moving average of how
    long an attempt takes.
    """

    def __init__(self, opens_at: float) -> None:
        self.is_open = False
        self.usual_seconds = 0.1
        self._opens_at = opens_at
        # Until then those are expected to be attempted that do not wait here and have no deaths.
        self._others_until = opens_at
        self._waiting: list[tuple[int, int, Ready]] = []
        self._joined = 0
        self._deaths_of_current: int | None = None

    def join(self, ready: Ready, now: float) -> float | None:
        """
        Let a suspect wait for its turn, or return the seconds after which it should be claimed
        again: those with fewer deaths go first, and only a few wait here.
        """
        wait = len(self._waiting) * self.usual_seconds
        full = wait > LINE_SECONDS or len(self._waiting) >= MOST_WAITING
        if full or not self.is_open or self._others_first(ready.deaths, now):
            return self._delay(ready.deaths, max(now, self._opens_at) + wait, now)
        heapq.heappush(self._waiting, (ready.deaths, self._joined, ready))
        self._joined += 1
        return None

    def start_next(self) -> Ready | None:
        """
        Take the suspect whose turn it is.
        """
        if not self._waiting:
            return None
        self._deaths_of_current, _, ready = heapq.heappop(self._waiting)
        return ready

    def finish(self, seconds: float) -> None:
        """
        Count the attempt that has ended after so many seconds.
        """
        self._deaths_of_current = None
        self.usual_seconds += _SMOOTHING * (seconds - self.usual_seconds)

    def close(self) -> Sequence[Ready]:
        """
        Let nobody wait any more; return those that did.
        """
        self.is_open = False
        left = [ready for _, _, ready in self._waiting]
        self._waiting.clear()
        return left

    def _others_first(self, deaths: int, now: float) -> bool:
        """
        Tell whether suspects are known that have fewer deaths.
        """
        known = [waiting_deaths for waiting_deaths, _, _ in self._waiting[:1]]
        if self._deaths_of_current is not None:
            known.append(self._deaths_of_current)
        if now < self._others_until:
            known.append(0)
        return min(known, default=deaths) < deaths

    def _delay(self, deaths: int, after_these: float, now: float) -> float:
        turn = max(after_these, self._others_until)
        turn = min(max(turn, now + SHORTEST_SECONDS), now + LONGEST_SECONDS)
        if not deaths:
            self._others_until = turn + self.usual_seconds
        return turn - now


class Suspects:
    """
    Attempts the suspects of a process, one after the other. Used by one event loop only.

    *admit* puts one into the queue of its endpoint, *release* ends a lease without an attempt.
    For *control_seconds* after the start no suspect is attempted.
    """

    def __init__(
        self,
        attempts: SuspectAttempts,
        held: HeldLeases,
        admit: Callable[[Ready], None],
        release: Callable[[Requeue], None],
        *,
        control_seconds: float,
    ) -> None:
        self.arrived = asyncio.Event()
        self._attempts = attempts
        self._held = held
        self._admit = admit
        self._release = release
        self._control_seconds = control_seconds
        self._control_end = float("inf")
        self._line = SuspectLine(self._control_end)
        self._current: Claimed | None = None

    async def start(self) -> None:
        """
        Begin the control time. Raises what the store raises.
        """
        await self._attempts.begin_control()
        self._control_end = time.monotonic() + self._control_seconds
        self._line = SuspectLine(self._control_end)

    async def take(self, suspects: Sequence[Ready]) -> None:
        """
        Take claimed suspects: each waits for its turn, or its lease is released until later.

        Raises what the store raises; then all are released.
        """
        try:
            known = await self._with_deaths(suspects) if self._line.is_open else suspects
        except Exception:
            for ready in suspects:
                self._later(ready, SHORTEST_SECONDS)
            raise
        for ready in known:
            seconds = self._line.join(ready, time.monotonic())
            if seconds is not None:
                self._later(ready, seconds)
        self.arrived.set()

    async def run_once(self) -> bool:
        """
        Attempt the next suspect; return whether there was one. Raises what the store raises.
        """
        if not self._line.is_open and not await self._control_is_over():
            return False
        ready = self._line.start_next()
        if ready is None:
            return False
        self._current, started = ready.claimed, time.monotonic()
        try:
            await self._attempt(ready)
        finally:
            self._line.finish(time.monotonic() - started)
        self._current = None
        return True

    def stop(self) -> None:
        """
        Attempt nothing more, and release the leases of those that wait.
        """
        self._control_end = float("inf")
        for ready in self._line.close():
            self._later(ready, 0)

    async def leave(self) -> None:
        """
        Store that this process ends by itself. Raises what the store raises.
        """
        await self._attempts.end_control()
        if self._current is not None:
            await self._attempts.end(self._current)

    async def _with_deaths(self, suspects: Sequence[Ready]) -> Sequence[Ready]:
        """
        Return suspects with their deaths. One that would be poison waits while another process
        is in its control time, since its death would clear it.
        """
        deaths = await self._attempts.deaths([it.claimed for it in suspects])
        known = []
        for ready, count in zip(suspects, deaths.counts, strict=True):
            if count >= POISON_DEATHS and not deaths.final:
                self._later(ready, SHORTEST_SECONDS)
            else:
                known.append(replace(ready, deaths=count))
        return known

    async def _control_is_over(self) -> bool:
        if time.monotonic() < self._control_end:
            return False
        await self._attempts.end_control()
        self._line.is_open = True
        return True

    async def _attempt(self, ready: Ready) -> None:
        claimed = ready.claimed
        if ready.deaths:
            log.warning("delivery.suspect", delivery=webhook_id(claimed), deaths=ready.deaths)
        ended = self._held.ended(claimed)
        self._admit(ready)
        await asyncio.wait([ended], timeout=LONGEST_SECONDS)
        if not ended.done():
            # Its result is known, or its lease is too short for a request.
            await self._attempts.end(claimed)
        elif ended.result() is LeaseEnd.SETTLED:
            await self._attempts.forget(claimed)

    def _later(self, ready: Ready, seconds: float) -> None:
        self._release(Requeue(ready.claimed, timedelta(seconds=seconds)))

"""
The deadlines of attempts, thousands of which run at a time and hardly any of which passes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

TICK_SECONDS = 0.01
"""
A deadline passes at most this much late, and never early.
"""


class Deadline:
    """
    The deadline of one attempt. When it passes, `cut` ends whatever is being waited for.
    """

    __slots__ = ("_bucket", "cut", "passed")

    def __init__(self, bucket: set[Deadline]) -> None:
        self.passed = False
        self.cut: Callable[[], object] | None = None
        self._bucket = bucket
        bucket.add(self)

    def cancel(self) -> None:
        """
        Forget it; the attempt has ended.
        """
        self.cut = None
        self._bucket.discard(self)

    def expire(self) -> None:
        """
        Cut the attempt off.
        """
        self.passed = True
        if self.cut is not None:
            self.cut()


class Deadlines:
    """
    Deadlines in buckets of ten milliseconds, which one timer looks at: a timer of the event
    loop for each attempt would cost more than signing its request. For one event loop.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, set[Deadline]] = {}
        self._next_tick = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> Deadline:
        """
        Begin a deadline that passes in so many seconds.
        """
        now = time.monotonic()
        if self._timer is None:
            self._next_tick = math.ceil(now / TICK_SECONDS)
            self._set_timer()
        tick = max(math.ceil((now + seconds) / TICK_SECONDS), self._next_tick)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
        return Deadline(bucket)

    def close(self) -> None:
        """
        Watch no more: what is still open is cut off by whoever closes its connection.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._buckets.clear()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        """
        Cut off what has passed, each by itself, and come back as long as anything is open.
        """
        loop = asyncio.get_running_loop()
        now = time.monotonic() / TICK_SECONDS
        while self._next_tick <= now:
            for deadline in self._buckets.pop(self._next_tick, ()):
                loop.call_soon(deadline.expire)
            self._next_tick += 1
        self._timer = None
        if self._buckets:
            self._set_timer()

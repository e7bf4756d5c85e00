"""
When the loops that write last got through to the database: what readiness asks.

That the database answers says little: it may be read-only, full or damaged, or a loop may wait
for a lock. A loop without work writes a heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from service_runtime.database.faults import is_damaged
from service_runtime.process.failures import FailureLog

BEAT_SECONDS = 5.0
"""
A loop that has written nothing for so long writes a heartbeat.
"""

STALLED_SECONDS = 10.0
"""
A loop that has written nothing for so long does not get through.
"""


class StalledError(Exception):
    """
    A loop does not get through; the message says which and since when.
    """


async def _write_nothing() -> None:
    pass


def _wake_nobody() -> None:
    pass


class Progress:
    """
    When the loop *name* last got through. *write* writes a heartbeat. *clock* gives seconds that
    only grow.

    The loop sets *wake*, which makes it call `beat` soon if there is no work.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[], Awaitable[None]] = _write_nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wake: Callable[[], None] = _wake_nobody
        self._name = name
        self._write = write
        self._clock = clock
        self._last = clock()
        self._damaged = False
        self._failures = FailureLog("store.heartbeat_failed")

    def through(self) -> None:
        """
        Note that work was written.
        """
        self._last = self._clock()
        self._damaged = False

    def failed(self, error: Exception) -> None:
        """
        Note that work was not written. What the database says of damage counts until other work
        is: a heartbeat touches other pages.
        """
        self._damaged = self._damaged or is_damaged(error)

    async def beat(self) -> None:
        """
        Write a heartbeat if one is due. An error is logged.
        """
        if not self.due:
            return
        with self._failures.isolated(name=self._name):
            await self._write()
            self._last = self._clock()

    @property
    def due(self) -> bool:
        """
        Whether nothing was written for so long that a heartbeat is due.
        """
        return self._clock() - self._last >= BEAT_SECONDS

    def problem(self) -> str:
        """
        Return why the loop does not get through; empty if it does.
        """
        seconds = self._clock() - self._last
        if seconds >= STALLED_SECONDS:
            return f"{self._name}: nothing written for {seconds:.0f} s"
        return f"{self._name}: the database is damaged" if self._damaged else ""


class Readiness:
    """
    Asks all *loops*, and wakes those whose heartbeat is due.
    """

    def __init__(self, loops: Sequence[Progress]) -> None:
        self._loops = loops

    async def check(self) -> None:
        """
        Raise `StalledError` if any loop does not get through.
        """
        for loop in self._loops:
            if loop.due:
                loop.wake()
        problems = [problem for loop in self._loops if (problem := loop.problem())]
        if problems:
            raise StalledError("; ".join(problems))

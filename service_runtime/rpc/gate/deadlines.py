"""
Deadlines of calls that share a timer: one for each call would cost a tenth of what is done
before and after its method.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from service_runtime.rpc.gate.timer import WorkTimer

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""
How often, at least, it is looked whose deadline has passed.
"""


class DeadlinePassedError(Exception):
    """
    What was waited for took too long, and was cancelled.
    """


class Deadline:
    """
    Bounds work of many tasks to *seconds*, and up to a tenth or `LOOK_SECONDS` more. For one
    event loop; a task has one piece of work at a time.
    """

    __slots__ = ("_passed", "_seconds", "_since", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[object], float] = {}
        self._passed: set[asyncio.Task[object]] = set()
        self._timer = WorkTimer(min(seconds / 10, LOOK_SECONDS), self._look_again)

    async def bound(self, work: Awaitable[T]) -> T:
        """
        Wait for *work*. Raises `DeadlinePassedError`; a `TimeoutError` of *work* is its own.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("outside of a task")
        self._since[task] = time.monotonic()
        self._timer.start()
        try:
            result = await work
        except asyncio.CancelledError as cancelled:
            # Whoever hangs up at the same moment is gone all the same.
            if task not in self._passed or task.uncancel():
                raise
            raise DeadlinePassedError from cancelled
        else:
            if task in self._passed:
                task.uncancel()
            return result
        finally:
            if self._since.pop(task, None) is None:
                self._passed.discard(task)

    def look(self, now: float) -> None:
        """
        Cancel the work that began too long before *now*, on the monotonic clock.
        """
        # They are in the order in which they began.
        for task, since in list(self._since.items()):
            if since > now - self._seconds:
                break
            del self._since[task]
            self._passed.add(task)
            task.cancel()

    def _look_again(self) -> bool:
        self.look(time.monotonic())
        return bool(self._since)

"""
The loop of background work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from service_runtime.process.failures import FailureLog
from service_runtime.process.progress import Progress


class CallCancelledError(Exception):
    """
    A call ended with the channel that it was made on.
    """


def being_cancelled() -> bool:
    """
    Tell whether somebody has cancelled the current task.

    grpc raises `asyncio.CancelledError` also for a call whose channel was closed, for example to
    take up a new certificate: that does not end the task.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Periodic:
    """
    Calls *run_once* for ever, and survives its errors, which are logged as *failure*.

    While *run_once* returns something true there is more to do, and it is called again at
    once. Otherwise it is called after a pause, or as soon as *wakeup* is set. The pause is a
    number of seconds or a function that returns it. *progress* notes whether it gets through.
    """

    def __init__(
        self,
        run_once: Callable[[], Awaitable[object]],
        *,
        pause_seconds: float | Callable[[], float],
        failure: str,
        wakeup: asyncio.Event | None = None,
        pause_first: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._run_once = run_once
        self._pause_seconds = pause_seconds
        self._failures = FailureLog(failure)
        self._wakeup = wakeup or asyncio.Event()
        self._pause_first = pause_first
        self._progress = progress
        if progress is not None:
            progress.wake = self.wake

    def wake(self) -> None:
        """
        Begin the next round without waiting for the end of the pause.
        """
        self._wakeup.set()

    async def run(self) -> None:
        """
        Work until cancelled.
        """
        if self._pause_first:
            await self._pause()
        while True:
            # Cleared before the work: what becomes due meanwhile is found by another round.
            self._wakeup.clear()
            if not await self._worked():
                await self._pause()

    async def _worked(self) -> bool:
        with self._failures.isolated() as block:
            more = await self._round()
            if self._progress is not None:
                self._progress.through()
            return more
        if self._progress is not None and block.error is not None:
            self._progress.failed(block.error)
        return False

    async def _round(self) -> bool:
        try:
            return bool(await self._run_once())
        except asyncio.CancelledError as ended:
            if being_cancelled():
                raise
            raise CallCancelledError("a call was cancelled by its channel") from ended

    async def _pause(self) -> None:
        pause = self._pause_seconds
        try:
            async with asyncio.timeout(pause() if callable(pause) else pause):
                await self._wakeup.wait()
        except TimeoutError:
            pass

"""
A timer that runs only while there is something to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class WorkTimer:
    """
    Calls *work* every *seconds* from `start` on, until it returns that nothing is left. For one
    event loop.
    """

    __slots__ = ("_handle", "_seconds", "_work")

    def __init__(self, seconds: float, work: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._work = work
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """
        Begin to wait, unless the timer does so already.
        """
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        self._handle = None
        if self._work():
            self.start()

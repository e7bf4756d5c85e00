"""
Work that is looked for again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


class Periodic:
    """
    Calls *once*, at once again as long as it says that there was something to do, else
    after a pause or when somebody knows of something. What it raises is logged as *failure*.
    """

    def __init__(
        self, once: Callable[[], Awaitable[int | bool]], *, pause_seconds: float, failure: str
    ) -> None:
        self._once = once
        self._pause_seconds = pause_seconds
        self._failure = failure
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """
        Begin the next round without waiting for the end of the pause.
        """
        self._wanted.set()

    async def run(self) -> None:
        """
        Go round for ever.
        """
        while True:
            self._wanted.clear()
            if not await self._go():
                await self._pause()

    async def _go(self) -> int | bool:
        try:
            return await self._once()
        except Exception as error:  # noqa: BLE001 - the store may be back at the next round
            log.error(self._failure, error_type=type(error).__name__)
            return False

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._pause_seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass

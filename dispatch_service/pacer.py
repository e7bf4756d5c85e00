"""
Work that is begun a little at a time, so that the event loop gets round to everything else.
"""

from __future__ import annotations

import asyncio
from collections import deque

PER_TURN = 4


class Pacer:
    """
    Lets so many through in each turn of the event loop, in the order in which they come.

    Nobody is counted any longer than the turn in which it begins: what hangs afterwards
    holds nobody up.
    """

    def __init__(self, per_turn: int = PER_TURN) -> None:
        self._per_turn = per_turn
        self._left = per_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._armed = False

    async def turn(self) -> None:
        """
        Wait for one's turn.
        """
        loop = asyncio.get_running_loop()
        self._arm(loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        waiter = loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._armed:
            self._armed = True
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._armed = False
        self._left = self._per_turn
        while self._waiting and self._left:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._left -= 1
        if self._waiting or self._left < self._per_turn:
            self._arm(loop)

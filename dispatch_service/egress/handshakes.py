"""
Work that is begun a little at a time, so that the event loop gets round to everything else.
"""

from __future__ import annotations

import asyncio
from collections import deque

PER_TURN = 4
URGENT_PER_TURN = 3
"""
So many begin in a turn of the loop, and so many of them are urgent ones while others wait too.
"""


class HandshakeThrottle:
    """
    Lets so many through in each turn of the event loop, in the order in which they come.

    Nobody is counted any longer than the turn in which it begins: what hangs afterwards
    holds nobody up.
    """

    def __init__(self) -> None:
        self._left = PER_TURN
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._armed = False

    async def turn(self, *, urgent: bool = False) -> None:
        """
        Wait for one's turn.
        """
        loop = asyncio.get_running_loop()
        self._arm(loop)
        if self._left and not (self._urgent or self._others):
            self._left -= 1
            return
        waiter = loop.create_future()
        (self._urgent if urgent else self._others).append(waiter)
        await waiter

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._armed:
            self._armed = True
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._armed = False
        self._left = PER_TURN
        self._let_in(self._urgent, URGENT_PER_TURN)
        self._let_in(self._others, self._left)
        self._let_in(self._urgent, self._left)
        if self._left < PER_TURN:
            self._arm(loop)

    def _let_in(self, waiting: deque[asyncio.Future[None]], most: int) -> None:
        while waiting and most:
            waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._left -= 1
                most -= 1

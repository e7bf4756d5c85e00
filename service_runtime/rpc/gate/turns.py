"""
Turns for what only a few may do at once.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """
    Lets *most* work at once, in the order in which they came. For one event loop.
    """

    __slots__ = ("_most", "_waiting", "_working")

    def __init__(self, most: int) -> None:
        self._most = most
        self._working = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def idle(self) -> bool:
        """
        Whether nobody works or waits.
        """
        return not self._working and not self._waiting

    @property
    def full(self) -> bool:
        """
        Whether another one would have to wait.
        """
        return self._working >= self._most

    async def begin(self) -> None:
        """
        Wait for a turn and take it; `end` ends it.
        """
        if self._working < self._most:
            self._working += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.end()
            raise

    def end(self) -> None:
        """
        End a turn; the next one begins. Those that hung up have none.
        """
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._working -= 1

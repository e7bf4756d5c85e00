"""
The throttle of new connections: they are started between the other work of the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

AT_ONCE = 4
"""
So many are admitted at once where none was before, and in a turn of those that waited too long.
"""

URGENT_OF = 4
"""
Of so many admissions one is not of an urgent caller, if any other waits.
"""

LIGHT_SECONDS = 0.0003
MOST_TURNS = 4
"""
A caller is admitted when a turn of the loop took less CPU time than this, so that other work has
had its turns, and after so many turns in any case.
"""

PATIENCE_SECONDS = 5.0
"""
Callers that have waited so long are admitted in every turn: leases must not end meanwhile.
"""

Waiter = tuple[asyncio.Future[None], float]


class HandshakeThrottle:
    """
    Admit callers in the order in which they come, one at a time between the loop's other work.

    A call of a publisher passes through some twenty turns of the loop, so it takes as long as
    twenty handshakes where each turn has one. Callers are counted only when they are admitted:
    one that hangs afterwards delays nobody.
    """

    def __init__(self) -> None:
        self._left = AT_ONCE
        self._urgent: deque[Waiter] = deque()
        self._others: deque[Waiter] = deque()
        self._scheduled = False
        self._turns = 0
        self._admitted = 0
        self._cpu = 0.0

    async def admit(self, *, urgent: bool = False) -> None:
        """
        Wait until the caller is admitted.
        """
        loop = asyncio.get_running_loop()
        self._schedule(loop)
        if self._left and not (self._urgent or self._others):
            self._left -= 1
            return
        waiter = loop.create_future()
        (self._urgent if urgent else self._others).append((waiter, time.monotonic()))
        await waiter

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next_turn, loop)

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        self._turns += 1
        for _ in range(self._next_count()):
            self._turns = 0
            if not self._admit_next():
                self._left = AT_ONCE
                return
        self._schedule(loop)

    def _next_count(self) -> int:
        """
        Return how many are admitted in this turn.
        """
        cpu = time.thread_time()
        turn, self._cpu = cpu - self._cpu, cpu
        late = time.monotonic() - PATIENCE_SECONDS
        if any(waiting and waiting[0][1] < late for waiting in (self._urgent, self._others)):
            return AT_ONCE
        return int(turn < LIGHT_SECONDS or self._turns >= MOST_TURNS)

    def _admit_next(self) -> bool:
        """
        Admit whoever is next; return False if nobody waits.
        """
        self._left = 0
        self._admitted += 1
        if self._admitted % URGENT_OF == 0:
            return _admitted(self._others) or _admitted(self._urgent)
        return _admitted(self._urgent) or _admitted(self._others)


def _admitted(waiting: deque[Waiter]) -> bool:
    """
    Admit the first one; return False if nobody waits.
    """
    while waiting:
        waiter, _ = waiting.popleft()
        # A waiter that was cancelled is done already, and takes nothing from the others.
        if not waiter.done():
            waiter.set_result(None)
            return True
    return False

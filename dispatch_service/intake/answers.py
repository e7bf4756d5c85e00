"""
What the store says of the events of one call, awaited together.
"""

from __future__ import annotations

import asyncio

from dispatch_service.domain.work import Receipt

Answer = Receipt | Exception
"""
What was stored, or why it was not.
"""


class Answers:
    """
    The answers to *count* events, each given once, in any order.

    One future for all of them: a future for each would cost as much as storing its event.
    """

    __slots__ = ("_all_given", "_given", "_left")

    def __init__(self, count: int) -> None:
        self._given: list[Answer | None] = [None] * count
        self._left = count
        self._all_given: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def give(self, index: int, answer: Answer) -> None:
        """
        Say what became of one event. Nobody need be waiting any more.
        """
        self._given[index] = answer
        self._left -= 1
        if not self._left and not self._all_given.done():
            self._all_given.set_result(None)

    async def all(self) -> list[Answer]:
        """
        Return all answers, in the order of the events.
        """
        if self._left:
            await self._all_given
        return [it for it in self._given if it is not None]

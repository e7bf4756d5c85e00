"""
Work that is begun a little in each turn of the event loop.
"""

from __future__ import annotations

import asyncio

import pytest

from dispatch_service.egress.handshakes import PER_TURN, URGENT_PER_TURN, HandshakeThrottle

pytestmark = pytest.mark.anyio


class Crowd:
    """
    Many who want to begin, and in which turn each did.
    """

    def __init__(self) -> None:
        self.throttle = HandshakeThrottle()
        self.begun: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, name: str, *, urgent: bool = False) -> None:
        """
        Let one more come.
        """
        self.tasks.append(asyncio.create_task(self._begin(name, urgent=urgent)))

    async def _begin(self, name: str, *, urgent: bool) -> None:
        await self.throttle.turn(urgent=urgent)
        self.begun.append(name)

    async def steps(self) -> list[int]:
        """
        Run to the end; return how many began in each step.
        """
        steps = []
        while not all(task.done() for task in self.tasks):
            before = len(self.begun)
            await asyncio.sleep(0)
            steps.append(len(self.begun) - before)
        return steps


async def test_so_many_begin_in_a_turn() -> None:
    """
    No turn lets more through than it may, and all come through in their order.
    """
    crowd = Crowd()
    names = [f"n{number}" for number in range(PER_TURN * 5 + 1)]
    for name in names:
        crowd.come(name)

    steps = await crowd.steps()

    assert crowd.begun == names
    assert max(steps) <= PER_TURN


async def test_urgent_ones_go_first_and_leave_a_place() -> None:
    """
    Of each turn most is for urgent ones while others wait, and those do not starve.
    """
    crowd = Crowd()
    for number in range(20):
        crowd.come(f"o{number}")
    await asyncio.sleep(0)
    for number in range(20):
        crowd.come(f"u{number}", urgent=True)
    await crowd.steps()

    assert sorted(crowd.begun) == sorted(f"{who}{number}" for who in "ou" for number in range(20))
    first = crowd.begun[PER_TURN : PER_TURN * 4]
    assert sum(name.startswith("u") for name in first) >= 2 * URGENT_PER_TURN
    assert sum(name.startswith("o") for name in first) >= 2


async def test_cancelled_one_takes_nobodys_turn() -> None:
    """
    Who goes away while waiting does not hold up those behind.
    """
    crowd = Crowd()
    for number in range(PER_TURN + 3):
        crowd.come(f"n{number}")
    await asyncio.sleep(0)
    crowd.tasks[PER_TURN + 1].cancel()
    await crowd.steps()

    assert len(crowd.begun) == PER_TURN + 2


async def test_one_now_and_then_waits_for_nobody() -> None:
    """
    Without company there is nothing to wait for.
    """
    throttle = HandshakeThrottle()
    for _ in range(PER_TURN + 1):
        with pytest.raises(StopIteration):
            throttle.turn().send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

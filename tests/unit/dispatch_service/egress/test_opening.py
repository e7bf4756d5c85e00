"""
The throttle that admits a few handshakes in each turn of the event loop.
"""

from __future__ import annotations

import asyncio

import pytest

from dispatch_service.egress.opening import PER_TURN, URGENT_PER_TURN, HandshakeThrottle

pytestmark = pytest.mark.anyio


class Crowd:
    """
    Tasks that wait to be admitted, and the order in which they were.
    """

    def __init__(self) -> None:
        self.throttle = HandshakeThrottle()
        self.admitted: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, name: str, *, urgent: bool = False) -> None:
        """
        Start one more task.
        """
        self.tasks.append(asyncio.create_task(self._wait(name, urgent=urgent)))

    async def _wait(self, name: str, *, urgent: bool) -> None:
        await self.throttle.admit(urgent=urgent)
        self.admitted.append(name)

    async def steps(self) -> list[int]:
        """
        Run to the end; return how many tasks were admitted in each step.
        """
        steps = []
        while not all(task.done() for task in self.tasks):
            before = len(self.admitted)
            await asyncio.sleep(0)
            steps.append(len(self.admitted) - before)
        return steps


async def test_turn_admits_up_to_its_limit() -> None:
    """
    No turn admits more tasks than its limit, and all are admitted in the order in which they came.
    """
    crowd = Crowd()
    names = [f"n{number}" for number in range(PER_TURN * 5 + 1)]
    for name in names:
        crowd.come(name)

    steps = await crowd.steps()

    assert crowd.admitted == names
    assert max(steps) <= PER_TURN


async def test_urgent_tasks_go_first_and_leave_one_for_others() -> None:
    """
    Each turn admits mostly urgent tasks while other tasks wait, and these do not starve.
    """
    crowd = Crowd()
    for number in range(20):
        crowd.come(f"o{number}")
    await asyncio.sleep(0)
    for number in range(20):
        crowd.come(f"u{number}", urgent=True)
    await crowd.steps()

    assert sorted(crowd.admitted) == sorted(f"{kind}{n}" for kind in "ou" for n in range(20))
    first = crowd.admitted[PER_TURN : PER_TURN * 4]
    assert sum(name.startswith("u") for name in first) >= 2 * URGENT_PER_TURN
    assert sum(name.startswith("o") for name in first) >= 2


async def test_cancelled_task_does_not_count() -> None:
    """
    A task that is cancelled while it waits takes no admission from those behind it.
    """
    crowd = Crowd()
    for number in range(PER_TURN + 3):
        crowd.come(f"n{number}")
    await asyncio.sleep(0)
    crowd.tasks[PER_TURN + 1].cancel()
    await crowd.steps()

    assert len(crowd.admitted) == PER_TURN + 2


async def test_single_task_does_not_wait() -> None:
    """
    A task is admitted at once if no other was admitted in the turn.
    """
    throttle = HandshakeThrottle()
    for _ in range(PER_TURN + 1):
        with pytest.raises(StopIteration):
            throttle.admit().send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

"""
The throttle that admits handshakes between the other work of the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from dispatch_service.egress import throttle
from dispatch_service.egress.throttle import AT_ONCE, MOST_TURNS, URGENT_OF, HandshakeThrottle

pytestmark = pytest.mark.anyio


class Clock:
    """
    A clock that moves by *step* seconds with each reading.
    """

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0

    def read(self) -> float:
        """
        Return the seconds since it was made.
        """
        self.now += self.step
        return self.now


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

    async def turns(self) -> list[int]:
        """
        Run to the end; return how many tasks were admitted in each turn of the loop.
        """
        turns = []
        while not all(task.done() for task in self.tasks):
            before = len(self.admitted)
            await asyncio.sleep(0)
            turns.append(len(self.admitted) - before)
        return turns


def crowd_of(count: int) -> Crowd:
    """
    Make a crowd of so many tasks that came in one turn, *n0* first.
    """
    crowd = Crowd()
    for number in range(count):
        crowd.come(f"n{number}")
    return crowd


@pytest.mark.parametrize(("cpu", "gap"), [(0.0, 1), (1.0, MOST_TURNS)])
async def test_one_is_admitted_between_the_turns_of_others(
    cpu: float, gap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    In each turn where the loop has little else to do, else after some turns; in the order in which
    they came, and the first few at once.
    """
    monkeypatch.setattr(time, "thread_time", Clock(cpu).read)
    crowd = crowd_of(AT_ONCE + 5)

    turns = await crowd.turns()

    assert crowd.admitted == [f"n{number}" for number in range(AT_ONCE + 5)]
    first = turns.index(AT_ONCE)
    later = [turn for turn, count in enumerate(turns) if count and turn > first]
    assert [turns[turn] for turn in later] == [1] * 5
    assert [after - before for before, after in itertools.pairwise(later)] == [gap] * 4


async def test_those_that_waited_long_are_admitted_in_every_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    However busy the loop is: nobody's lease ends while it waits here.
    """
    monkeypatch.setattr(time, "thread_time", Clock(1.0).read)
    monkeypatch.setattr(time, "monotonic", Clock(throttle.PATIENCE_SECONDS).read)
    crowd = crowd_of(AT_ONCE * 3)

    turns = await crowd.turns()

    assert [count for count in turns if count] == [AT_ONCE] * 3


async def test_urgent_tasks_go_first_and_leave_some_turns_to_others() -> None:
    """
    Of four admissions three are for urgent tasks while others wait, which do not starve.
    """
    crowd = Crowd()
    for number in range(20):
        crowd.come(f"o{number}")
    await asyncio.sleep(0)
    for number in range(20):
        crowd.come(f"u{number}", urgent=True)
    await crowd.turns()

    assert sorted(crowd.admitted) == sorted(f"{kind}{n}" for kind in "ou" for n in range(20))
    first = crowd.admitted[AT_ONCE : AT_ONCE + 3 * URGENT_OF]
    assert sum(name.startswith("u") for name in first) >= 2 * URGENT_OF
    assert sum(name.startswith("o") for name in first) >= 2


async def test_cancelled_task_does_not_count() -> None:
    """
    A task that is cancelled while it waits takes no admission from those behind it.
    """
    crowd = crowd_of(AT_ONCE + 3)
    await asyncio.sleep(0)
    crowd.tasks[AT_ONCE + 1].cancel()
    await crowd.turns()

    assert len(crowd.admitted) == AT_ONCE + 2


async def test_single_task_does_not_wait() -> None:
    """
    A task is admitted at once if no other was admitted just before.
    """
    alone = HandshakeThrottle()
    for _ in range(AT_ONCE + 1):
        with pytest.raises(StopIteration):
            alone.admit().send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

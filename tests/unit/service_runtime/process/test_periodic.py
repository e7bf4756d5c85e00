"""
The loop of background work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from service_runtime.process.periodic import Periodic

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 20.0
LONG_SECONDS = 3600.0


class Work:
    """
    Work that does what a test says, round by round, and nothing after that.
    """

    def __init__(self, *rounds: object) -> None:
        self.done = 0
        self._rounds = list(rounds)
        self._changed = asyncio.Event()

    async def run_once(self) -> object:
        """
        Return or raise what the round is.
        """
        self.done += 1
        self._changed.set()
        given = self._rounds.pop(0) if self._rounds else None
        if isinstance(given, Exception):
            raise given
        return given

    async def reached(self, count: int) -> None:
        """
        Wait until so many rounds have begun.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.done < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(
    work: Work, pause_seconds: float | Callable[[], float] = LONG_SECONDS, **options: Any
) -> AsyncIterator[Periodic]:
    """
    Run a loop while the block lasts.
    """
    loop = Periodic(work.run_once, pause_seconds=pause_seconds, failure="work.failed", **options)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_goes_on_at_once_while_there_is_more() -> None:
    """
    Only a round without work is followed by the pause.
    """
    work = Work(3, True, 0)

    async with running(work):
        await work.reached(3)
        await asyncio.sleep(0)

    assert work.done == 3


async def test_begins_again_after_the_pause() -> None:
    """
    Without work the next round comes after the pause, which a function may give.
    """
    pauses = []

    def next_pause() -> float:
        pauses.append(0.001)
        return pauses[-1]

    work = Work()
    async with running(work, next_pause):
        await work.reached(4)

    assert len(pauses) >= 3


async def test_is_woken_out_of_its_pause() -> None:
    """
    Whoever sets the signal of a loop, or wakes it, begins the next round.
    """
    work, signal = Work(), asyncio.Event()

    async with running(work, wakeup=signal) as loop:
        await work.reached(1)
        signal.set()
        await work.reached(2)
        loop.wake()
        await work.reached(3)

    assert work.done == 3


async def test_signal_during_a_round_is_not_lost() -> None:
    """
    What becomes due while a round runs is looked for by another round.
    """
    signal, rounds = asyncio.Event(), 0
    second = asyncio.Event()

    async def run_once() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            signal.set()
        else:
            second.set()

    loop = Periodic(run_once, pause_seconds=LONG_SECONDS, failure="work.failed", wakeup=signal)
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await second.wait()
    task.cancel()

    assert rounds == 2


async def test_may_begin_with_the_pause() -> None:
    """
    Work that was just done at the start is not done twice.
    """
    work = Work()

    async with running(work, pause_first=True) as loop:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert work.done == 0
        loop.wake()
        await work.reached(1)

    assert work.done == 1


async def test_survives_every_error() -> None:
    """
    An error is logged and waited out like a round without work.
    """
    work = Work(ValueError("a bug"), OSError("the store is away"))

    with capture_logs() as logs:
        async with running(work, 0.001):
            await work.reached(3)

    assert [(line["event"], line["error_type"]) for line in logs] == [
        ("work.failed", "ValueError"),
        ("work.failed", "OSError"),
    ]


async def test_ends_when_it_is_cancelled() -> None:
    """
    Being cancelled is no error of the work.
    """

    async def run_once() -> None:
        await asyncio.Event().wait()

    loop = Periodic(run_once, pause_seconds=LONG_SECONDS, failure="work.failed")
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_call_does_not_end_the_loop() -> None:
    """
    grpc cancels calls of a channel that is closed; only who cancels the task ends it.
    """
    rounds = 0

    async def work() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise asyncio.CancelledError
        return False

    task = asyncio.create_task(Periodic(work, pause_seconds=0, failure="tests.failed").run())
    async with asyncio.timeout(20):
        while rounds < 2:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

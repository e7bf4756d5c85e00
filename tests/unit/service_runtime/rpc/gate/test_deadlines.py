"""
Deadlines that share a timer.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from service_runtime.rpc.gate.deadlines import Deadline, DeadlinePassedError

pytestmark = pytest.mark.anyio

SECONDS = 20.0


def later() -> float:
    """
    Return a time at which all that waits now has waited too long.
    """
    return time.monotonic() + SECONDS + 1


async def never() -> None:
    await asyncio.Event().wait()


async def waiting(deadline: Deadline) -> asyncio.Task[None]:
    """
    Start a task that waits for ever.
    """
    task = asyncio.create_task(deadline.bound(never()))
    await asyncio.sleep(0)
    return task


async def test_what_takes_too_long_is_cancelled() -> None:
    """
    What has begun later goes on, and so does the task itself.
    """
    deadline = Deadline(SECONDS)
    first = await waiting(deadline)
    deadline.look(time.monotonic())
    await asyncio.sleep(0)
    assert not first.done()
    deadline.look(later())
    with pytest.raises(DeadlinePassedError):
        await first
    assert not first.cancelling()
    assert await deadline.bound(asyncio.sleep(0, "done")) == "done"


async def test_the_timer_looks_by_itself() -> None:
    """
    Nobody has to ask.
    """
    with pytest.raises(DeadlinePassedError):
        await Deadline(0.01).bound(never())


async def test_errors_of_the_work_are_its_own() -> None:
    """
    A timeout inside of the work is no deadline of ours.
    """

    async def times_out() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Deadline(SECONDS).bound(times_out())


async def test_whoever_hangs_up_is_cancelled() -> None:
    """
    With a deadline that passes at the same moment, and without.
    """
    deadline = Deadline(SECONDS)
    for passes in (False, True):
        task = await waiting(deadline)
        if passes:
            deadline.look(later())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_work_may_end_although_it_is_cancelled() -> None:
    """
    Its result counts, and the task is not cancelled any more.
    """

    async def stubborn() -> str:
        try:
            await never()
        except asyncio.CancelledError:
            return "done"
        return ""

    async def call() -> tuple[str, int]:
        task = asyncio.current_task()
        assert task is not None
        return await deadline.bound(stubborn()), task.cancelling()

    deadline = Deadline(SECONDS)
    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    deadline.look(later())
    assert await task == ("done", 0)

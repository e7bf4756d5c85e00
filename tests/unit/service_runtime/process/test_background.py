"""
The background tasks of a service.
"""

from __future__ import annotations

import asyncio

import pytest

from service_runtime.process.background import BackgroundTasks

pytestmark = pytest.mark.anyio


class Tasks:
    """
    Work that notes how it ends.
    """

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def endless(self, name: str) -> None:
        """
        Work until cancelled.
        """
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.append(name)


async def broken() -> None:
    """
    Fail at once.
    """
    raise ValueError("a bug")


async def test_first_end_ends_the_wait() -> None:
    """
    A service stops as soon as any of its tasks ends; the end of the block ends the others.
    """
    work = Tasks()

    async with BackgroundTasks() as tasks:
        tasks.start("loop", work.endless("loop"))
        tasks.start("signal", asyncio.sleep(0))
        await tasks.first_ended()
        assert work.cancelled == []

    assert work.cancelled == ["loop"]


async def test_error_of_a_task_is_raised() -> None:
    """
    A task that fails ends the service with its error, and leaves no task behind.
    """
    work = Tasks()

    with pytest.raises(ValueError, match="a bug"):
        async with BackgroundTasks() as tasks:
            tasks.start("loop", work.endless("loop"))
            tasks.start("broken", broken())
            await tasks.first_ended()

    assert work.cancelled == ["loop"]


async def test_tasks_are_stopped_by_name() -> None:
    """
    The order of a shutdown is that of its calls.
    """
    work = Tasks()

    async with BackgroundTasks() as tasks:
        for name in ("claims", "feed", "results"):
            tasks.start(name, work.endless(name))
        await asyncio.sleep(0)
        await tasks.cancel("feed")
        assert work.cancelled == ["feed"]
        await tasks.cancel("claims", "results")

    assert sorted(work.cancelled) == ["claims", "feed", "results"]


async def test_end_of_a_task_is_waited_for_with_patience() -> None:
    """
    A task that ends by itself is waited for; one that does not is left after a time.
    """
    work, written = Tasks(), asyncio.Event()

    async with BackgroundTasks() as tasks:
        tasks.start("results", written.wait())
        tasks.start("stuck", work.endless("stuck"))
        written.set()
        await tasks.ended("results", 20)
        await tasks.ended("stuck", 0.01)

    assert work.cancelled == ["stuck"]

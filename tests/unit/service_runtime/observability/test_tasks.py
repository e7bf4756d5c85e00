"""
The end of a task that nobody awaits is seen.
"""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from service_runtime.observability.tasks import start_awaited, start_watched

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise ValueError("broken")


async def test_error_of_a_watched_task_is_logged_at_once() -> None:
    """
    The line has the task's name and the error, before anything is collected.
    """
    with capture_logs() as lines:
        task = start_watched(fail(), "reader")
        await asyncio.wait([task])
        await asyncio.sleep(0)

    assert [(it["event"], it["name"], str(it["exc_info"])) for it in lines] == [
        ("task.failed", "reader", "broken")
    ]


async def test_good_and_cancelled_ends_are_not_logged() -> None:
    """
    A task that returns, or is cancelled, has nothing to tell.
    """
    with capture_logs() as lines:
        tasks = [start_watched(asyncio.sleep(0), "short"), start_watched(asyncio.sleep(9), "long")]
        await tasks[0]
        tasks[1].cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)

    assert lines == []


async def test_who_awaits_gets_the_error() -> None:
    """
    An awaited task raises in its starter, and is not logged beside that.
    """
    with capture_logs() as lines, pytest.raises(ValueError, match="broken"):
        await start_awaited(fail(), "work")

    assert lines == []

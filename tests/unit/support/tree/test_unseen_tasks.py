"""
Tasks are started where it is said who sees their end.
"""

from __future__ import annotations

import pytest

from tests.support.tree.sources import parse
from tests.support.tree.unseen_tasks import unseen_tasks

PATH = "dispatch_service/log/read.py"


@pytest.mark.parametrize(
    "text",
    [
        "task = asyncio.create_task(work())",
        "task = asyncio.ensure_future(work())",
        "asyncio.get_running_loop().create_task(work())",
        "create_task(work())",
    ],
)
def test_starts_are_found(text: str) -> None:
    """
    However a task is started, its line is named.
    """
    assert [it.line for it in unseen_tasks([parse(PATH, text)])] == [1]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (PATH, "async with asyncio.TaskGroup() as group:\n    group.create_task(work())"),
        (PATH, "task = start_watched(work(), 'work')"),
        ("service_runtime/observability/tasks.py", "loop.create_task(work())"),
        ("tests/unit/test_read.py", "asyncio.create_task(work())"),
    ],
)
def test_other_calls_are_not(path: str, text: str) -> None:
    """
    A group awaits its tasks; tests and the module of the starters may start any.
    """
    source = f"async def run():\n    {text.replace(chr(10), chr(10) + '    ')}\n"
    assert list(unseen_tasks([parse(path, source)])) == []

"""
The deadlines of attempts.
"""

from __future__ import annotations

import asyncio
import time

from dispatch_service.egress.deadlines import Deadlines


async def test_each_passes_in_its_time() -> None:
    """
    However long each is and in whatever order they began, none passes early.
    """
    deadlines = Deadlines()
    passed: dict[float, float] = {}
    begun = time.monotonic()

    def note(seconds: float) -> None:
        passed[seconds] = time.monotonic() - begun

    for seconds in (0.2, 0.0, 0.1, -1.0):
        deadlines.begin(seconds).cut = lambda seconds=seconds: note(seconds)
    forgotten = deadlines.begin(0.05)
    forgotten.cut = lambda: note(0.05)
    forgotten.cancel()
    await asyncio.sleep(0.5)

    assert sorted(passed) == [-1.0, 0.0, 0.1, 0.2]
    assert all(at >= seconds for seconds, at in passed.items())
    assert not forgotten.passed


async def test_one_that_fails_leaves_the_others_alone() -> None:
    """
    What goes wrong at one deadline is told, and the next one passes.
    """
    deadlines, told = Deadlines(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    bad, good = deadlines.begin(0.0), deadlines.begin(0.0)
    bad.cut = lambda: 1 / 0
    await asyncio.sleep(0.1)

    assert good.passed
    assert isinstance(told[0]["exception"], ZeroDivisionError)


async def test_they_go_on_after_a_pause() -> None:
    """
    The timer ends when nothing is open, and begins anew.
    """
    deadlines = Deadlines()
    for _ in range(2):
        deadline = deadlines.begin(0.02)
        await asyncio.sleep(0.15)
        assert deadline.passed


async def test_closing_ends_the_watch() -> None:
    """
    Nothing is cut off any more.
    """
    deadlines = Deadlines()
    deadline = deadlines.begin(0.0)
    deadlines.close()
    await asyncio.sleep(0.1)

    assert not deadline.passed

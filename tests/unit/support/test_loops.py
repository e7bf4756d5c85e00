"""
The event loop of the tests bears what it is told late.
"""

from __future__ import annotations

import asyncio

from tests.support.loops import TestLoop


def test_open_loop_calls_back() -> None:
    """
    It calls back as any loop does.
    """

    async def wait() -> bool:
        called = asyncio.Event()
        asyncio.get_running_loop().call_soon_threadsafe(called.set)
        return await called.wait()

    with asyncio.Runner(loop_factory=TestLoop) as runner:
        assert runner.run(wait())


def test_closed_loop_does_nothing() -> None:
    """
    It neither calls back nor raises.
    """
    called: list[str] = []
    loop = TestLoop()
    loop.close()
    assert not loop.call_soon_threadsafe(called.append, "late").cancelled()
    assert not called

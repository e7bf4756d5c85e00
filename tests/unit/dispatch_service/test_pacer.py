"""
Work that is begun a little in each turn of the event loop.
"""

from __future__ import annotations

import asyncio

import pytest

from dispatch_service.pacer import Pacer

pytestmark = pytest.mark.anyio


async def test_so_many_begin_in_a_turn() -> None:
    """
    No turn lets more through than it may, and all come through in their order.
    """
    pacer, begun = Pacer(per_turn=3), list[int]()

    async def work(number: int) -> None:
        await pacer.turn()
        begun.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(10)]
    steps = []
    while len(begun) < 10:
        before = len(begun)
        await asyncio.sleep(0)
        steps.append(len(begun) - before)
    await asyncio.gather(*tasks)

    assert begun == list(range(10))
    assert max(steps) <= 3


async def test_cancelled_one_takes_nobodys_turn() -> None:
    """
    Who goes away while waiting does not hold up those behind.
    """
    pacer = Pacer(per_turn=1)
    tasks = [asyncio.create_task(pacer.turn()) for _ in range(4)]
    await asyncio.sleep(0)
    tasks[2].cancel()

    await asyncio.gather(tasks[0], tasks[1], tasks[3])
    assert tasks[2].cancelled()


async def test_one_now_and_then_waits_for_nobody() -> None:
    """
    Without company there is nothing to wait for.
    """
    pacer = Pacer(per_turn=1)
    for _ in range(3):
        with pytest.raises(StopIteration):
            pacer.turn().send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

"""
Work that a cancelled call does not interrupt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """
    Wait for *work*, which goes on to its end even if the waiting is cancelled.

    A database driver that is cancelled in the middle of a statement must close its connection,
    and a driver with a thread of its own may never finish doing so. Callers hang up at any time;
    the work of their calls ends a moment later, here.
    """
    task = asyncio.ensure_future(work)
    _running.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


async def finished(work: Awaitable[None], seconds: float) -> None:
    """
    Wait for *work*; if the waiting is cancelled, for up to *seconds* more, then cancel it, too.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(_ended)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        raise


def _ended(task: asyncio.Future[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        # Retrieve the error, so that asyncio does not warn of one that nobody waits for.
        task.exception()


async def finish_shielded() -> None:
    """
    Wait for the work of cancelled calls; then its database may be closed.
    """
    await asyncio.gather(*_running, return_exceptions=True)

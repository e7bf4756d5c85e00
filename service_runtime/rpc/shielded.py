"""
Work that a cancelled call leaves behind whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """
    Wait for *work*, which goes on to its end even when the waiting is cancelled.

    A database driver that is cancelled in the middle of a statement must throw
    its connection away, and a driver with a thread of its own may never finish
    doing so. Callers hang up at any time; their calls end a moment later here.
    """
    task = asyncio.ensure_future(work)
    _running.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        # Looked at, so that an error that nobody waits for any more is no warning.
        task.exception()


async def finish() -> None:
    """
    Wait for the work that cancelled calls left behind; then its database may be closed.
    """
    await asyncio.gather(*_running, return_exceptions=True)

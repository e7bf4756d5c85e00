"""
Work that is finished although the waiting for it is cancelled.
"""

from __future__ import annotations

import asyncio

import pytest

from service_runtime.rpc.shielded import finished

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 10.0


async def test_what_has_started_is_finished_first() -> None:
    """
    The cancellation goes on once the work is done.
    """
    done = asyncio.Event()
    waiting = asyncio.ensure_future(finished(_until(done), PATIENCE_SECONDS))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    early = waiting.done()
    done.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not early


async def test_what_does_not_end_is_cancelled() -> None:
    """
    Nobody waits for it longer than was said.
    """
    waiting = asyncio.ensure_future(finished(_until(asyncio.Event()), 0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, PATIENCE_SECONDS)


async def test_errors_are_raised() -> None:
    """
    They are those of the work.
    """
    with pytest.raises(ZeroDivisionError):
        await finished(_failing(), PATIENCE_SECONDS)


async def _until(done: asyncio.Event) -> None:
    await done.wait()


async def _failing() -> None:
    raise ZeroDivisionError

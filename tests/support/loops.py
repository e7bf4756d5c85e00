"""
The event loop of the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

Given = TypeVarTuple("Given")


class TestLoop(asyncio.SelectorEventLoop):
    """
    A loop that may be told something when it is closed, and then does nothing.

    gRPC has one thread for all loops of a process. It tells a loop of the end of a call that a
    test left open, also when the loop is closed; the error that asyncio answers with would be
    raised in whatever test runs then.
    """

    __test__ = False

    def call_soon_threadsafe(
        self, callback: Callable[[*Given], object], *args: *Given, context: Context | None = None
    ) -> asyncio.Handle:
        """
        Call back soon, but not after the loop was closed.
        """
        if self.is_closed():
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon_threadsafe(callback, *args, context=context)


BACKEND = ("asyncio", {"loop_factory": TestLoop})

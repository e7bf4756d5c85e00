"""
The event loop of the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple

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

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """
        Report an error that nobody waits for, but those of asyncpg for a statement that was
        cancelled: it gives up the connection, and the answer that no longer counts fails.
        """
        error = context.get("exception")
        if not (isinstance(error, ConnectionError) and "connection_lost() call" in str(error)):
            super().call_exception_handler(context)


BACKEND = ("asyncio", {"loop_factory": TestLoop})

"""
The streams that are open, and what ends them before they end themselves.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import PermissionDenied, RpcError, Unauthenticated, Unavailable
from service_runtime.rpc.gate.timer import WorkTimer

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""
How often the callers of open streams are looked up again.
"""

STREAM_SECONDS = 30 * 60.0
"""
How old streams get at most. A connection whose age has come has to last as long, for its streams.
"""

_SPREAD = 0.1  # streams that were opened at once end within the last tenth of their time


class CallerRevoked(Unauthenticated):
    """
    The caller of an open stream was deleted or has expired.
    """

    reason = "CALLER_REVOKED"

    def __init__(self) -> None:
        super().__init__("The caller was deleted or has expired.")


class ConnectionAged(Unavailable):
    """
    A stream ends as its connection gets old, so that streams spread over replicas anew.
    """

    reason = "CONNECTION_AGED"

    def __init__(self) -> None:
        super().__init__("The stream is as old as streams get; open it again.")


class CallerNarrowed(PermissionDenied):
    """
    The caller of an open stream has fewer roles or owners than when it opened it.
    """

    def __init__(self, method: str) -> None:
        name = method.rpartition("/")[2]
        super().__init__(
            f"The caller may do less than when it opened {name}: open it again.", method=name
        )


def changed(before: Caller, now: Caller | None, method: str) -> RpcError | None:
    """
    Return the error with which a stream ends whose caller was *before* and is *now*, if any.
    """
    if now is None or now.name != before.name:
        return CallerRevoked()
    if now is before:
        return None
    kept = now.roles >= before.roles and all(map(now.may_touch, before.owners))
    return None if kept else CallerNarrowed(method)


class OpenStream:
    """
    A stream that the current task serves for *caller*; *look_up* finds its caller again. One
    that *answers* each message answers what it has received before it drains.
    """

    def __init__(
        self,
        method: str,
        caller: Caller,
        look_up: Callable[[], Caller | None],
        *,
        answers: bool = False,
    ) -> None:
        self.method = method
        self._answers = answers
        self._drained: RpcError | None = None
        self._receiving: asyncio.Task[object] | None = None
        self.caller = caller
        self.ended: RpcError | None = None
        self._look_up = look_up
        self._task = asyncio.current_task()
        self.ends_at = math.inf

    def check(self) -> None:
        """
        Look the caller up. Raises what ends the stream.
        """
        now = self._look_up()
        if (error := changed(self.caller, now, self.method)) is not None:
            raise error
        if now is not None:
            self.caller = now

    def end(self, error: RpcError) -> None:
        """
        End the stream with *error*, whatever it is doing, unless it is ending already.
        """
        if self.ended is None and self._task is not None:
            self.ended = error
            self._task.cancel()

    def drain(self, error: RpcError) -> None:
        """
        End the stream with *error*, at once or after its last answer.
        """
        if not self._answers:
            self.end(error)
            return
        self._drained = self._drained or error
        if self._receiving is not None:
            self._receiving.cancel()

    async def receive(self, message: Awaitable[T]) -> T:
        """
        Wait for a message. Raises the error of `drain`.
        """
        task = self._receiving = asyncio.current_task()
        try:
            if self._drained is None:
                return await message
        except asyncio.CancelledError:
            if self._drained is None or task is None or task.uncancel():
                raise
        finally:
            self._receiving = None
        raise self._drained

    def ends(self) -> RpcError | None:
        """
        Return the error of `end`, once; the task then goes on as if it were not cancelled.
        """
        error = self.ended
        if error is not None and self._task is not None:
            self._task.uncancel()
        return error


class OpenStreams:
    """
    All open streams of a server. While there are any, their callers are looked up every second.
    They end when they are as old as *most_seconds*, or up to a tenth younger.
    """

    def __init__(self, most_seconds: float = STREAM_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._streams: set[OpenStream] = set()
        self._drained: RpcError | None = None
        self._timer = WorkTimer(LOOK_SECONDS, self._look_again)

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: OpenStream) -> None:
        """
        Add a stream. Raises the error of `drain`.
        """
        if self._drained is not None:
            raise self._drained
        age = self._most_seconds * (1 - _SPREAD * random.random())  # noqa: S311 - no secret
        stream.ends_at = time.monotonic() + age
        self._streams.add(stream)
        self._timer.start()

    def remove(self, stream: OpenStream) -> None:
        self._streams.discard(stream)

    def drain(self, error: RpcError) -> None:
        """
        End all streams with *error*, those that answer each message after their last answer. No
        more are opened.
        """
        self._drained = error
        for stream in list(self._streams):
            stream.drain(error)

    def look(self) -> None:
        """
        End the streams of callers that are gone or may do less, and those that are too old.
        """
        now = time.monotonic()
        for stream in list(self._streams):
            try:
                stream.check()
            except RpcError as error:
                stream.end(error)
            else:
                if now >= stream.ends_at:
                    stream.ends_at = math.inf
                    stream.drain(ConnectionAged())

    def _look_again(self) -> bool:
        self.look()
        return bool(self._streams)

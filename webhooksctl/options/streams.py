"""
Streams that go on when a connection is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc

from shipedge.webhooks.client.errors import error_of_call
from webhooksctl.options.session import say

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
"""
Before a lost connection is made anew; each time nothing came of it the pause is twice as long.
"""


def followed(method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    """
    Yield the answers of a stream; where a connection is lost, a new one goes on behind the last.
    *request* gets the cursor.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            for answer in method(request):
                request.cursor = answer.cursor
                pause = FIRST_PAUSE_SECONDS
                yield answer
        except grpc.RpcError as lost:
            # Without a cursor nothing was seen: what is wrong then is not passing.
            if not request.cursor or error_of_call(lost).code != "UNAVAILABLE":
                raise
            say(f"connection lost; connecting again in {pause:g} s")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def watched(method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    """
    Yield the answers of a Watch method as `followed` does, and say how to end it.
    """
    say(f"watching {request.parent}: Ctrl-C ends it")
    yield from followed(method, request)

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

RECONNECT_SECONDS: Final = 1.0


def followed(method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    """
    Yield the answers of a Watch method; where a connection is lost, a new one goes on behind the
    last. *request* gets the cursor.
    """
    say(f"watching {request.parent}: Ctrl-C ends it")
    while True:
        try:
            for answer in method(request):
                request.cursor = answer.cursor
                yield answer
        except grpc.RpcError as lost:
            # Without a cursor nothing was seen: what is wrong then is not passing.
            if not request.cursor or error_of_call(lost).code != "UNAVAILABLE":
                raise
            say("connection lost; connecting again")
        time.sleep(RECONNECT_SECONDS)

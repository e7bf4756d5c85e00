"""
Connect to the first of several addresses that accepts: one after the other, a quarter of a second
apart, without giving up those that have not answered yet (RFC 8305).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest

from service_runtime.observability.tasks import start_awaited

APART_SECONDS = 0.25

ConnectTo = Callable[[str], Awaitable[socket.socket]]


def in_turns(addresses: Sequence[str]) -> tuple[str, ...]:
    """
    Return addresses with their families in turns, so that one that is dead delays by one step.

    Each family keeps its order; that of the first address begins.
    """
    if not addresses:
        return ()
    begins_with_6 = ":" in addresses[0]
    first = [it for it in addresses if (":" in it) is begins_with_6]
    other = [it for it in addresses if (":" in it) is not begins_with_6]
    return tuple(it for it in chain(*zip_longest(first, other)) if it is not None)


async def first_connected(
    addresses: Sequence[str], connect: ConnectTo
) -> tuple[socket.socket, str]:
    """
    Return the first connected socket and its address; the others are closed.

    Raises the `OSError` of the last address that refused if all do, and at once what else *connect*
    raises.
    """
    if len(addresses) == 1:
        return await connect(addresses[0]), addresses[0]
    waiting = deque(addresses)
    racers: dict[asyncio.Task[socket.socket], str] = {}
    problem: OSError | None = None
    try:
        while waiting or racers:
            if waiting:
                address = waiting.popleft()
                racers[start_awaited(_connected(connect, address), "connect")] = address
            timeout = APART_SECONDS if waiting else None
            done, _ = await asyncio.wait(
                racers, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                address = racers.pop(task)
                try:
                    return task.result(), address
                except OSError as error:
                    problem = error
    finally:
        for task in racers:
            task.cancel()
            task.add_done_callback(_close)
    raise problem or OSError("no address")


async def _connected(connect: ConnectTo, address: str) -> socket.socket:
    return await connect(address)


def _close(task: asyncio.Task[socket.socket]) -> None:
    """
    Close a socket that was connected as another one was taken.
    """
    if not task.cancelled() and task.exception() is None:
        task.result().close()

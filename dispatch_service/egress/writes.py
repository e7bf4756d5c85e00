"""
The requests of one turn of the event loop, written to their sockets one after the other.
"""

from __future__ import annotations

import asyncio
import time

from dispatch_service.egress.connection import Connection


class WriteCoalescer:
    """
    Write the requests of one turn of the event loop together, in the next turn.

    The code that encrypts and sends then stays in the caches of the processor. A receiver that
    sends something between the two turns is dealt with by the connection.
    """

    def __init__(self) -> None:
        self._waiting: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """
        Write the request of a connection in the next turn.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(connection)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        now = time.monotonic()
        for connection in waiting:
            connection.write(now)

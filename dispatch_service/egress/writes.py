"""
Requests on their way to the wire: those of one turn of the event loop are written one after
the other.
"""

from __future__ import annotations

import asyncio

from dispatch_service.egress.connection import Connection


class WriteCoalescer:
    """
    Writes the requests together that became ready in one turn of the event loop, in the next
    one: while one after another is encrypted and sent, the code for it stays in the
    processor's caches. What a receiver says in between is for the connection to judge.
    """

    def __init__(self) -> None:
        self._waiting: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """
        Have the request of a connection written before long.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(connection)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.write()

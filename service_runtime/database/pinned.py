"""
PostgreSQL connections that a busy task holds between its statements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from service_runtime.database.sessions import is_usable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class PinnedConnections:
    """
    Connections in autocommit mode: each statement is a transaction of its own.

    Taking a connection from the pool and returning it takes turns of the event loop: a
    millisecond under load, which every caller that waits for a commit would wait too.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._idle: list[AsyncConnection] = []
        self._closed = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator[AsyncConnection]:
        """
        Use a connection. After an error it is returned to the pool.
        """
        db = await self._take()
        try:
            yield db
        except BaseException:
            await db.close()
            raise
        if self._closed or db.invalidated:
            await db.close()
        else:
            self._idle.append(db)

    async def close(self) -> None:
        """
        Return all connections to the pool; one in use is returned when its user is done.
        """
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> AsyncConnection:
        while self._idle:
            db = self._idle.pop()
            if is_usable(db):
                return db
            await db.invalidate()
            await db.close()
        return await self._engine.connect()

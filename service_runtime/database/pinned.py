"""
Connections of PostgreSQL that are kept between the statements of a busy task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class PinnedConnections:
    """
    Connections on which each statement is a transaction of its own.

    To take one from the pool and to give it back takes turns of the event loop: under load
    a millisecond, which everybody who waits for a commit would wait for too.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._idle: list[AsyncConnection] = []
        self._closed = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator[AsyncConnection]:
        """
        Lend a connection. One on which anything failed is left to the pool.
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
        Give all back to the pool, and what is lent now when it comes back.
        """
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> AsyncConnection:
        while self._idle:
            db = self._idle.pop()
            if not _is_gone(db):
                return db
            await db.invalidate()
            await db.close()
        return await self._engine.connect()


def _is_gone(db: AsyncConnection) -> bool:
    """
    Tell whether the server has hung up meanwhile, as one that is restarted does.
    """
    connection = db.sync_connection
    driver = None if connection is None else connection.connection.driver_connection
    return driver is None or driver.is_closed()

"""
What a process holds that has died is taken over at once, on PostgreSQL: its leases end now instead
of running out. The claims that follow write the interrupted attempts and give new tokens, so a
process that lives after all writes nothing with its old ones.

On SQLite there is no other process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.leases import DEAD_SECONDS, MAY_BEGIN_SECONDS
from dispatch_service.queue.dialects import clause
from dispatch_service.queue.lock_order import update_locked
from dispatch_service.storage.schema import deliveries
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import writing
from service_runtime.database.instants import micros
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 1000
"""
How many leases one statement ends.
"""

_LOCK = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")

# The lock of a name is free as soon as the session is gone that has it. By then the process must
# have noticed that its heartbeats do not get through.
_IS_DEAD = """
name <> :own AND stops_when_silent AND CASE
    WHEN heartbeat_time < least(now(), CAST(:expected AS timestamptz)) - CAST(:dead AS interval)
        THEN true
    WHEN heartbeat_time < least(now(), CAST(:expected AS timestamptz)) - CAST(:silent AS interval)
        THEN pg_try_advisory_xact_lock(hashtextextended(name, 0))
    ELSE false END
"""

_DEAD = sa.text(f"SELECT name FROM dispatchers WHERE {_IS_DEAD}")  # noqa: S608 - no input
_FORGET_DEAD = sa.text(f"DELETE FROM dispatchers WHERE name = :name AND {_IS_DEAD}")  # noqa: S608

_LEASE_START = "least({now}, {@due_time + $lease_us})"


class NamedSession:
    """
    The session of a process in which it writes its heartbeats. It has the lock of the *name* of
    the process, so that a new one knows at once that an old one is gone.
    """

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._session: AsyncConnection | None = None

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """
        Open a transaction that writes, in a new session if the last one has failed. On SQLite it
        is any session.
        """
        if self._engine.dialect.name == "sqlite":
            async with writing(self._engine) as db:
                yield db
            return
        session = self._session or await self._opened()
        try:
            async with session.begin():
                yield session
        except BaseException:
            await self._end(session)
            raise

    async def close(self) -> None:
        """
        End the session, and free the name.
        """
        if self._session is not None:
            await self._end(self._session)

    async def _opened(self) -> AsyncConnection:
        session = await self._engine.connect()
        try:
            async with session.begin():
                await session.execute(_LOCK, {"name": self._name})
        except BaseException:
            await self._end(session)
            raise
        self._session = session
        return session

    async def _end(self, session: AsyncConnection) -> None:
        # It must not go back to the pool: it would take the lock along.
        self._session = None
        try:
            await session.invalidate()
        finally:
            await session.close()


async def dead_processes(db: AsyncConnection, own: str, expected: datetime | None) -> Sequence[str]:
    """
    Return the names of the processes that are known to be dead: no heartbeat got through for five
    seconds, or for three and the lock of the name is free. The clock should show *expected*: if it
    shows more, it has stepped.
    """
    return list((await db.execute(_DEAD, _given(own, expected))).scalars())


@retry_on_conflict
async def take_over(
    engine: AsyncEngine, name: str, own: str, expected: datetime | None, lease: timedelta
) -> int | None:
    """
    Forget a dead process and end its leases in one transaction, each as if it had ended when it
    began, so that claims keep their order. Return how many there were, None if the process lives
    after all or another has been quicker.

    A process that lives and finds itself forgotten holds nothing any more.
    """
    held = sa.and_(deliveries.c.lease_owner == name, deliveries.c.due_time > clause("{now}", {}))
    key = list(deliveries.primary_key.columns)
    values = {"due_time": clause(_LEASE_START, {"lease_us": -micros(lease)})}
    async with writing(engine) as db:
        forgotten = await db.execute(_FORGET_DEAD, {"name": name, **_given(own, expected)})
        if not forgotten.rowcount:
            return None
        found = [tuple(row) for row in await db.execute(sa.select(*key).where(held))]
        for start in range(0, len(found), BATCH):
            some = in_keys(key, found[start : start + BATCH])
            await db.execute(update_locked(sa.and_(some, held)).values(values))
    return len(found)


def _given(own: str, expected: datetime | None) -> dict[str, Any]:
    return {
        "own": own,
        "expected": expected,
        "dead": timedelta(seconds=DEAD_SECONDS),
        "silent": timedelta(seconds=MAY_BEGIN_SECONDS),
    }

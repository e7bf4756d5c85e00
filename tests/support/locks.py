"""
Waiting until a session of the database waits for another's lock.
"""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.engine import reading

PATIENCE_SECONDS = 30.0

_WAITING = sa.text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


async def waiting_sessions(store: AsyncEngine, count: int = 1) -> None:
    """
    Wait until so many sessions of a PostgreSQL database wait for locks.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with reading(store) as db:
                if (await db.execute(_WAITING)).scalar_one() >= count:
                    return
            await asyncio.sleep(0.01)

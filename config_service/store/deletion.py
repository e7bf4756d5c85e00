"""
Deleting many rows, in transactions that hold up nobody.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.engine import writing


async def delete_in_batches(engine: AsyncEngine, batch: sa.Delete, at_once: int) -> int:
    """
    Run a statement that deletes *at_once* rows at most until fewer are left; return how many it
    deleted.
    """
    deleted = 0
    while True:
        async with writing(engine) as db:
            count = (await db.execute(batch)).rowcount
        deleted += count
        if count < at_once:
            return deleted

"""
Leases of processes that are known to be dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import writing
from service_runtime.database.instants import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def end_all(engine: AsyncEngine) -> None:
    """
    Let every lease run out now. Only where no other process can be alive: then
    what a crash left behind need not wait for its lease.
    """
    leased = sa.and_(deliveries.c.lease_owner.is_not(None), deliveries.c.due_time.is_not(None))
    async with writing(engine) as db:
        await db.execute(sa.update(deliveries).where(leased).values(due_time=database_now()))

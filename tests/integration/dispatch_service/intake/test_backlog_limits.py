"""
When publishers have to wait.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import BacklogFull
from dispatch_service.intake.backlog_limits import Backlog, Limits
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = pytest.mark.anyio


async def test_publishers_wait_before_the_disk_is_full(store: AsyncEngine, tmp_path: Path) -> None:
    """
    Where the database is a file, the free space of its disk counts.
    """
    backlog = Backlog(store, Limits(10, least_disk=2**62, file=tmp_path / "dispatch.db"))
    backlog.refusals([])

    await backlog.count()

    with pytest.raises(BacklogFull):
        backlog.refusals([])


async def test_backlog_knows_how_late_the_oldest_delivery_is(
    store: AsyncEngine, queue: Queue
) -> None:
    """
    Waiting deliveries are counted, with the time since the oldest became due.
    """
    backlog = Backlog(store, Limits(10, 0))
    await queue.insert([new_event(new_delivery())], LEASE)
    async with writing(store) as db:
        due = {"due_time": after(timedelta(minutes=-1))}
        await db.execute(sa.update(deliveries).values(due))

    await backlog.count()

    assert backlog.counts.total == 1
    assert 60 <= backlog.late_seconds < 120

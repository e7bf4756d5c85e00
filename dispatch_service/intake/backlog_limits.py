"""
The number of unfinished deliveries and the free disk space, and whether more events may be
accepted: publishers are asked to wait before the disk is full.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.errors import BacklogFull
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

COUNT_SECONDS = 5.0
LONG_WAIT = timedelta(seconds=30)
COUNT_SHARE = 100
"""
Counting takes at most a hundredth of the time, however many deliveries there are.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    When publishers have to wait: at *most_deliveries* unfinished deliveries, and under
    *least_disk* free bytes if the database is a *file*.
    """

    most_deliveries: int
    least_disk: int
    file: Path | None = None


class Backlog:
    """
    Counts the unfinished deliveries every few seconds. Used by one event loop only.
    """

    def __init__(self, engine: AsyncEngine, limits: Limits) -> None:
        self.unfinished = 0
        self.late_seconds = 0.0
        self._engine = engine
        self._limits = limits
        self._free_disk: int | None = None
        self._took = 0.0

    def check(self) -> None:
        """
        Raise `BacklogFull` while more events would exceed the limits.
        """
        if self.unfinished >= self._limits.most_deliveries:
            raise BacklogFull("unfinished deliveries are stored", self.unfinished, LONG_WAIT)
        if self._free_disk is not None and self._free_disk < self._limits.least_disk:
            raise BacklogFull("bytes of disk are free", self._free_disk, LONG_WAIT)

    def pause_seconds(self) -> float:
        """
        Return how long to wait before the next count.
        """
        return max(COUNT_SECONDS, self._took * COUNT_SHARE)

    async def count(self) -> None:
        """
        Count the unfinished deliveries, and measure the free disk and the delay of the oldest.
        """
        started = time.monotonic()
        try:
            await self._count()
        finally:
            self._took = time.monotonic() - started

    async def _count(self) -> None:
        if self._limits.file is not None:
            self._free_disk = shutil.disk_usage(self._limits.file.parent).free
        columns = deliveries.c
        most = self._limits.most_deliveries
        async with reading(self._engine) as db:
            counted = await db.execute(_counted(columns.end_time.is_(None), most))
            self.unfinished = counted.scalar_one()
            oldest, now = (await db.execute(_oldest_due())).one()
        self.late_seconds = _seconds_since(oldest, now)


def _counted(condition: sa.ColumnElement[bool], most: int) -> sa.Select[int]:
    some = sa.select(sa.literal(1)).select_from(deliveries).where(condition).limit(most)
    return sa.select(sa.func.count()).select_from(some.subquery())


def _oldest_due() -> sa.Select[Any, datetime]:
    due = deliveries.c.due_time
    return sa.select(sa.func.min(due), database_now()).where(due.is_not(None))


def _seconds_since(oldest: datetime | None, now: datetime) -> float:
    return 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)

"""
The number of unfinished deliveries and the free disk space, and whether more events may be
accepted: publishers are asked to wait before the disk is full.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.errors import RETRY_AFTER, BacklogFull
from dispatch_service.domain.shares import SHARE_PERCENT, Capacity, OwnerCounts, kept_within
from dispatch_service.payloads.core.warehouses import warehouses_of
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.observability.dispatch_metrics import SHARE_REFUSALS
from service_runtime.rpc import names
from shipedge.webhooks.events.v1 import event_pb2

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
    When publishers have to wait: at *most_deliveries* unfinished deliveries, of which a share, in
    percent, is kept for owners that have less than that, and under *least_disk* free bytes if the
    database is a *file*.
    """

    most_deliveries: int
    least_disk: int
    file: Path | None = None
    share_percent: int = SHARE_PERCENT


class Backlog:
    """
    Counts the unfinished deliveries every few seconds. Used by one event loop only.

    *counts* has them by owner; between two counts it is kept up to date for what this process
    stores and ends.
    """

    def __init__(
        self, engine: AsyncEngine, limits: Limits, counts: OwnerCounts | None = None
    ) -> None:
        self.late_seconds = 0.0
        self.counts = OwnerCounts() if counts is None else counts
        self._engine = engine
        self._limits = limits
        self._capacity = kept_within(limits.most_deliveries, limits.share_percent)
        self._free_disk: int | None = None
        self._took = 0.0

    def refusals(self, events: Sequence[event_pb2.Event]) -> Mapping[int, BacklogFull]:
        """
        Return the errors of the events whose account or warehouses may have no more deliveries,
        by index. Raises `BacklogFull` while too little disk is free for anybody.
        """
        least = self._limits.least_disk
        if self._free_disk is not None and self._free_disk < least:
            raise BacklogFull("bytes of disk are free", self._free_disk, least, LONG_WAIT)
        if self.counts.total < self._capacity.common:
            return {}
        found = ((index, self._refusal(event)) for index, event in enumerate(events))
        return {index: refused for index, refused in found if refused is not None}

    def _refusal(self, event: event_pb2.Event) -> BacklogFull | None:
        owners = (names.account(event.account_id), *map(names.warehouse, warehouses_of(event)))
        for owner in owners:
            held = self.counts.of(owner)
            if not self._capacity.allows(self.counts.total, held):
                what = "unfinished deliveries are stored"
                return backlog_full(what, self._capacity, owner, self.counts.total, held, LONG_WAIT)
        return None

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
        async with reading(self._engine) as db:
            self.counts.begin_count()
            counted = await db.execute(_counted(self._limits.most_deliveries))
            self.counts.counted(dict(counted.all()))
            oldest, now = (await db.execute(_oldest_due())).one()
        self.late_seconds = _seconds_since(oldest, now)


def backlog_full(
    what: str,
    capacity: Capacity,
    owner: str,
    total: int,
    held: int,
    retry_after: timedelta = RETRY_AFTER,
) -> BacklogFull:
    """
    Return the error of an owner that may have no more of *what*, of which it holds *held* of
    *total*. It names the owner if others may have more.
    """
    if total >= capacity.whole:
        return BacklogFull(what, total, capacity.whole, retry_after)
    SHARE_REFUSALS.add()
    return BacklogFull(what, total, capacity.common, retry_after, owner=owner, held=held)


def _counted(most: int) -> sa.Select[str, int]:
    columns = deliveries.c
    some = sa.select(columns.owner).where(columns.end_time.is_(None)).limit(most).subquery()
    return sa.select(some.c.owner, sa.func.count()).group_by(some.c.owner)


def _oldest_due() -> sa.Select[Any, datetime]:
    due = deliveries.c.due_time
    return sa.select(sa.func.min(due), database_now()).where(due.is_not(None))


def _seconds_since(oldest: datetime | None, now: datetime) -> float:
    return 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)

"""
How many bytes of requests and responses the log has taken of each owner on this UTC day.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from dispatch_service.domain.work import Settlement
from dispatch_service.storage.schema import log_usage
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import writing
from service_runtime.database.inserts import insert

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

SYNC_SECONDS = 5.0
"""
How often processes tell each other what they have written.
"""

BATCH = 500
KEPT_DAYS = 7
"""
How many days stay in the table, for those who look for what filled the log.
"""

log = structlog.get_logger()


class _OwnerBytes:
    """
    The bytes of an owner today, and those of them that are not in the table yet.
    """

    __slots__ = ("total", "unsaved")

    def __init__(self) -> None:
        self.total = 0
        self.unsaved = 0


class LogUsage:
    """
    Counts the bytes of owners, of which each may have *limit* a day. Used by one event loop only.
    """

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.day = 0
        self._limit = limit
        self._owners: dict[str, _OwnerBytes] = {}
        self._full: set[str] = set()

    def begin_day(self, day: int) -> None:
        """
        Begin to count anew if *day*, the days since 1970-01-01, is another one.
        """
        if day != self.day:
            self.day, self._owners, self._full = day, {}, set()

    def is_full(self, owner: str) -> bool:
        """
        Tell whether an owner has used all that it may today.
        """
        return owner in self._full

    def full_count(self) -> int:
        """
        Count the owners that have used all that they may today.
        """
        return len(self._full)

    def add(self, settlements: Iterable[Settlement]) -> None:
        """
        Count the attempts that were written.
        """
        for it in settlements:
            if it.attempt is not None and it.attempt.sealed_exchange is not None:
                size = len(it.attempt.sealed_exchange)
                owner = self._of(it.claimed.owner)
                owner.unsaved += size
                owner.total += size
                if owner.total >= self._limit:
                    self._fill(it.claimed.owner)

    def unsaved(self) -> dict[str, int]:
        """
        Return the bytes that are not in the table yet, by owner.
        """
        return {owner: it.unsaved for owner, it in self._owners.items() if it.unsaved}

    def saved(self, day: int, written: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """
        Take over what the table has, after the bytes of a *day* were *written* to it.
        """
        if day != self.day:
            return
        for owner, size in written.items():
            known = self._of(owner)
            known.unsaved -= size
            known.total = totals[owner] + known.unsaved
            if known.total >= self._limit:
                self._fill(owner)

    def _of(self, owner: str) -> _OwnerBytes:
        known = self._owners.get(owner)
        if known is None:
            known = self._owners[owner] = _OwnerBytes()
        return known

    def _fill(self, owner: str) -> None:
        if owner not in self._full:
            self._full.add(owner)
            log.warning("log.owner_limit_reached", owner=owner, limit=self._limit)


class LogUsageSync:
    """
    Adds what this process has counted to the table, and learns what others have.
    """

    def __init__(self, engine: AsyncEngine, usage: LogUsage) -> None:
        self._engine = engine
        self._usage = usage
        self._pruned_on = 0

    async def run_once(self) -> None:
        """
        Write what is not in the table yet; once a day delete what is too old.
        """
        day, unsaved = self._usage.day, self._usage.unsaved()
        # In the order of keys, so that no two processes wait for each other.
        owners = sorted(unsaved)
        for start in range(0, len(owners), BATCH):
            written = {owner: unsaved[owner] for owner in owners[start : start + BATCH]}
            self._usage.saved(day, written, await self._add(day, written))
        if unsaved and day != self._pruned_on:
            await self._prune(day)
            self._pruned_on = day

    @retry_on_conflict
    async def _add(self, day: int, written: Mapping[str, int]) -> Mapping[str, int]:
        rows: list[dict[str, Any]] = [
            {"owner": owner, "day": day, "bytes": size} for owner, size in written.items()
        ]
        async with writing(self._engine) as db:
            statement = insert(db.dialect.name, log_usage)
            more = log_usage.c.bytes + statement.excluded.bytes
            adding = statement.on_conflict_do_update(
                index_elements=["owner", "day"], set_={"bytes": more}
            ).returning(log_usage.c.owner, log_usage.c.bytes)
            return dict((await db.execute(adding, rows)).all())

    async def _prune(self, day: int) -> None:
        old = log_usage.c.day < day - KEPT_DAYS
        async with writing(self._engine) as db:
            await db.execute(sa.delete(log_usage).where(old))

"""
The schedule of housekeeping: erasures at once, repair and pruning once an hour.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from dispatch_service.queue.sequences import SequenceKey
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.upkeep import erasure, repair
from dispatch_service.upkeep.prune_statements import Retention
from dispatch_service.upkeep.retention import PAUSE_SECONDS, Pruner
from service_runtime.database.engine import reading
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

PRUNE_SECONDS = 3600.0
"""
How long after one repair and pruning the next begins.
"""

log = structlog.get_logger()


class Maintenance:
    """
    Does the housekeeping. Several processes may do so at a time.
    """

    def __init__(
        self, engine: AsyncEngine, subscriptions: SubscriptionIndex, keep: Retention
    ) -> None:
        self._engine = engine
        self._pruner = Pruner(engine, subscriptions, keep)
        self._next_prune = time.monotonic()
        self._failures = FailureLog("maintenance.failed")

    async def run_once(self) -> None:
        """
        Finish erasures; once an hour also repair sequences and delete old rows.

        A step that fails is logged and stops no other.
        """
        with self._failures.isolated(kind="erasure"):
            await self.finish_erasures()
        if time.monotonic() < self._next_prune:
            return
        with self._failures.isolated(kind="sequence"):
            await self.repair_sequences()
        await self._pruner.prune()
        self._next_prune = time.monotonic() + PRUNE_SECONDS

    async def finish_erasures(self) -> int:
        """
        Erase events that had to wait for an attempt; return how many were erased.
        """
        async with reading(self._engine) as db:
            events = await erasure.waiting(db)
        erased = 0
        for event in events:
            with self._failures.isolated(kind="erasure", account=event.account):
                erased += (await erasure.erase_one(self._engine, event, event.requested_by)).events
        return erased

    async def repair_sequences(self) -> int:
        """
        Make due the heads of sequences that are blocked by nothing; return how many.
        """
        due = 0
        last: SequenceKey | None = None
        while True:
            last, count = await repair.repair_batch(self._engine, last)
            due += count
            if last is None:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        if due:
            log.warning("maintenance.sequences_repaired", count=due)
        return due

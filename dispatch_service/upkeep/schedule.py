"""
The schedule of housekeeping: each step has a loop of its own, so that none waits for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from dispatch_service.queue.sequences import SequenceKey
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.upkeep import erasure, repair
from dispatch_service.upkeep.prune_statements import Retention
from dispatch_service.upkeep.queue_states import QueueStates
from dispatch_service.upkeep.retention import PAUSE_SECONDS, Pruner
from service_runtime.database.engine import reading
from service_runtime.process.failures import FailureLog
from service_runtime.process.periodic import Periodic

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

HOUR_SECONDS = 3600.0
"""
How long after one repair or pruning the next begins.
"""

RETRY_SECONDS = 300.0
"""
How long after a step that failed it begins again, unless it would sooner.
"""

FAILED = "maintenance.failed"

log = structlog.get_logger()


class Step:
    """
    A step of the housekeeping. *work* returns whether all of it went well.

    It first runs after *first_seconds*, then again after *seconds*, or sooner if it failed.
    """

    def __init__(
        self,
        kind: str,
        work: Callable[[], Awaitable[bool]],
        failures: FailureLog,
        *,
        first_seconds: float,
        seconds: float,
    ) -> None:
        self._kind = kind
        self._work = work
        self._failures = failures
        self._seconds = seconds
        self._pause_seconds = first_seconds

    async def run_once(self) -> None:
        """
        Do the step; what fails is logged.
        """
        good = False
        with self._failures.isolated(kind=self._kind):
            good = await self._work()
        self._pause_seconds = self._seconds if good else min(self._seconds, RETRY_SECONDS)

    def pause_seconds(self) -> float:
        """
        Return how long to wait before the step runs again.
        """
        return self._pause_seconds


class Maintenance:
    """
    Does the housekeeping. Several processes may do so at a time.

    *interval_seconds* is that of postponed erasures; all steps first run after it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        keep: Retention,
        *,
        interval_seconds: float = 30.0,
    ) -> None:
        self.queue_states = QueueStates(engine)
        self._engine = engine
        self._interval_seconds = interval_seconds
        self._failures = FailureLog(FAILED)
        self._pruner = Pruner(engine, subscriptions, keep, self._failures)

    def steps(self) -> Mapping[str, Step]:
        """
        Return the steps by name.
        """
        return {
            "erasures": self._step("erasure", self._erase, self._interval_seconds),
            "sequence repair": self._step("sequence", self._repair, HOUR_SECONDS),
            "pruning": self._step("pruning", self._pruner.prune, HOUR_SECONDS),
        }

    def loops(self) -> Mapping[str, Periodic]:
        """
        Return a loop for each step, and the one that counts the states of the queue.
        """
        loops = {
            name: Periodic(
                step.run_once, pause_seconds=step.pause_seconds, failure=FAILED, pause_first=True
            )
            for name, step in self.steps().items()
        }
        states = self.queue_states
        return loops | {
            "queue count": Periodic(
                states.count, pause_seconds=states.pause_seconds, failure="backlog.count_failed"
            )
        }

    def _step(self, kind: str, work: Callable[[], Awaitable[bool]], seconds: float) -> Step:
        first = self._interval_seconds
        return Step(kind, work, self._failures, first_seconds=first, seconds=seconds)

    async def _erase(self) -> bool:
        await self.finish_erasures()
        return True

    async def _repair(self) -> bool:
        await self.repair_sequences()
        return True

    async def finish_erasures(self) -> int:
        """
        Erase events that had to wait for an attempt; return how many were erased.

        One that fails is logged and stops no other.
        """
        erased, last = 0, None
        while True:
            async with reading(self._engine) as db:
                events = await erasure.waiting(db, last)
            for event in events:
                last = (event.account, event.event_id)
                with self._failures.isolated(kind="erasure", account=event.account):
                    done = await erasure.erase_one(self._engine, event, event.requested_by)
                    erased += done.events
            if len(events) < erasure.BATCH:
                return erased

    async def repair_sequences(self) -> int:
        """
        Make due the heads of sequences that are blocked by nothing; return how many.
        """
        due = 0
        last: SequenceKey | None = None
        while True:
            last, count = await repair.repair_batch(self._engine, last, self._failures)
            due += count
            if last is None:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        if due:
            log.warning("maintenance.sequences_repaired", count=due)
        return due

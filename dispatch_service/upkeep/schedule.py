"""
Keeps house in the background: finishes erasures, sets lanes right, takes away what is old.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from dispatch_service.queue.sequences import SequenceKey
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import attempts, bodies, deliveries, events
from dispatch_service.upkeep import erasure, repair, retention
from dispatch_service.upkeep.retention import Ages, Kept, Retention
from service_runtime.database.engine import reading, writing
from service_runtime.observability import metrics
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BREATH_SECONDS = 0.05
"""
How long deliveries have the database to themselves between two batches.
"""

REST = 3
"""
So many times as long as the work for an owner took is rested after it.
"""

PRUNE_SECONDS = 3600.0
"""
How often what is old is looked for.
"""

MARGIN = timedelta(days=1)
"""
What is added to the time since something was swept, for clocks and settings that changed.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What is taken away of each owner, or account, of a table.
    """

    kind: str
    ages: Ages
    prune: Callable[[AsyncConnection, Any, Kept], Awaitable[int]]
    payloads: bool


_BODIES = (bodies.c.owner, bodies.c.create_time)
_EVENTS = (events.c.account, events.c.accept_time)
_ATTEMPTS = (attempts.c.owner, attempts.c.start_time)
_DELIVERIES = (deliveries.c.owner, deliveries.c.create_time)

RULES = (
    Rule("body", _BODIES, retention.prune_bodies, payloads=True),
    Rule("payload", _EVENTS, retention.prune_payloads, payloads=True),
    Rule("attempt", _ATTEMPTS, retention.prune_attempts, payloads=False),
    Rule("delivery", _DELIVERIES, retention.prune_deliveries, payloads=False),
    Rule("event", _EVENTS, retention.prune_events, payloads=False),
)


class Maintenance:
    """
    Keeps house. Several processes may do so at a time.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        keep: Retention,
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._keep = keep
        self._swept: dict[tuple[str, str | int], float] = {}
        self._next_prune = time.monotonic()
        self._failures = FailureLog("maintenance.failed")

    async def run_once(self) -> None:
        """
        Finish erasures; once an hour also repair sequences and delete what is old.

        No step, table, owner or event that fails stops the others.
        """
        with self._failures.isolated(kind="erasure"):
            await self.finish_erasures()
        if time.monotonic() < self._next_prune:
            return
        with self._failures.isolated(kind="sequence"):
            await self.repair_sequences()
        await self.prune()
        self._next_prune = time.monotonic() + PRUNE_SECONDS

    async def finish_erasures(self) -> int:
        """
        Erase what had to wait for an attempt; return how many events that were.
        """
        async with reading(self._engine) as db:
            events_waiting = await erasure.waiting(db)
        done = 0
        for event in events_waiting:
            with self._failures.isolated(kind="erasure", account=event.account):
                done += (await erasure.erase_one(self._engine, event, event.requested_by)).events
        return done

    async def repair_sequences(self) -> int:
        """
        Make due what waits in order lanes for nothing; return how many deliveries that were.
        """
        due = 0
        last: SequenceKey | None = None
        while True:
            last, count = await repair.repair_batch(self._engine, last)
            due += count
            if last is None:
                break
            await asyncio.sleep(BREATH_SECONDS)
        if due:
            log.warning("maintenance.sequences_repaired", deliveries=due)
        return due

    async def prune(self) -> None:
        """
        Take away all that is old.
        """
        for rule in RULES:
            with self._failures.isolated(kind=rule.kind):
                self._count(rule.kind, await self._prune_each(rule))
        with self._failures.isolated(kind="event_key"):
            keep = self._keep.event_keys
            keys = await self._repeat(lambda db: retention.prune_event_keys(db, keep))
            self._count("event_key", keys)
        with self._failures.isolated(kind="request_id"):
            await self._repeat(retention.prune_request_ids)
        with self._failures.isolated(kind="resend_job"):
            await self._repeat(lambda db: retention.prune_jobs(db, self._keep.log))

    def _count(self, kind: str, count: int) -> None:
        metrics.PRUNED.labels(kind).inc(count)
        if count:
            log.info("maintenance.pruned", kind=kind, count=count)

    async def _prune_each(self, rule: Rule) -> int:
        """
        Go through the owners of a table that have something old, one after the other.
        """
        count, owner = 0, None
        while True:
            async with reading(self._engine) as db:
                found = await retention.oldest_of(db, rule.ages, owner)
            for owner, oldest, now in found:
                if now - oldest > self._keep_of(owner, payloads=rule.payloads):
                    with self._failures.isolated(kind=rule.kind, owner=owner):
                        count += await self._prune_one(rule, owner)
            if len(found) < retention.OWNERS:
                return count

    async def _prune_one(self, rule: Rule, owner: Any) -> int:
        begun = time.monotonic()
        age = self._keep_of(owner, payloads=rule.payloads)
        last = self._swept.get((rule.kind, owner))
        swept = None if last is None else age + timedelta(seconds=begun - last) + MARGIN
        outlived = age < self._longest_of_warehouses()
        count = await self._repeat(lambda db: rule.prune(db, owner, Kept(age, swept, outlived)))
        self._swept[rule.kind, owner] = begun
        await asyncio.sleep((time.monotonic() - begun) * REST)
        return count

    def _longest_of_warehouses(self) -> timedelta:
        """
        Return how long a warehouse may keep anything.
        """
        wanted = self._subscriptions.settings_of_warehouses()
        times = [time for it in wanted for time in (it.payload_retention, it.log_retention) if time]
        return max(self._keep.payloads, self._keep.log, *times)

    def _keep_of(self, owner: str | int, *, payloads: bool) -> timedelta:
        """
        Return how long something of an owner, or of an account by number, is kept.
        """
        name = owner if isinstance(owner, str) else names.account(owner)
        wanted = self._subscriptions.settings(name)
        if payloads:
            return wanted.payload_retention or self._keep.payloads
        return wanted.log_retention or self._keep.log

    async def _repeat(self, prune: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        """
        Repeat a batch until there is no whole one any more.
        """
        total = 0
        while True:
            async with writing(self._engine) as db:
                count = await prune(db)
            total += count
            if count < retention.BATCH:
                return total
            await asyncio.sleep(BREATH_SECONDS)

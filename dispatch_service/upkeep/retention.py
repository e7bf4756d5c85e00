"""
The deletion of rows that are older than their owner, or the service, keeps them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from dispatch_service.domain.figures import Unit
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import attempts, bodies, deliveries, events
from dispatch_service.upkeep import prune_statements
from dispatch_service.upkeep.prune_statements import AgeIndex, Cutoff, Retention
from service_runtime.database.engine import reading, writing
from service_runtime.observability.dispatch_metrics import PRUNED
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

PAUSE_SECONDS = 0.05
"""
How long deliveries have the database to themselves between two batches.
"""

REST_FACTOR = 3
"""
After the rows of an owner the pruner rests for so many times as long as they took.
"""

MARGIN = timedelta(days=1)
"""
What is added to the time since the last run, for clocks and settings that have changed.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """
    How old rows of one *kind* are found and deleted, and whether they count as payloads or as
    log.
    """

    kind: str
    index: AgeIndex
    prune: Callable[[AsyncConnection, Any, Cutoff], Awaitable[int]]
    payloads: bool


_BODIES = AgeIndex(bodies.c.owner, bodies.c.create_time)
_EVENTS = AgeIndex(events.c.account, events.c.accept_time)
_ATTEMPTS = AgeIndex(attempts.c.owner, attempts.c.start_time)
_DELIVERIES = AgeIndex(deliveries.c.owner, deliveries.c.create_time)

RULES = (
    RetentionRule("body", _BODIES, prune_statements.prune_bodies, payloads=True),
    RetentionRule("payload", _EVENTS, prune_statements.prune_payloads, payloads=True),
    RetentionRule("attempt", _ATTEMPTS, prune_statements.prune_attempts, payloads=False),
    RetentionRule("delivery", _DELIVERIES, prune_statements.prune_deliveries, payloads=False),
    RetentionRule("event", _EVENTS, prune_statements.prune_events, payloads=False),
)


class Pruner:
    """
    Deletes old rows, kind by kind and owner by owner. Several processes may do so at a time.

    What fails is logged, and stops neither other kinds nor other owners.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        keep: Retention,
        failures: FailureLog,
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._keep = keep
        self._pruned_at: dict[tuple[str, str | int], float] = {}
        self._failures = failures

    async def prune(self) -> bool:
        """
        Delete all rows that are too old; return whether all of that went well.
        """
        keys = partial(prune_statements.prune_event_keys, keep=self._keep.event_keys)
        jobs = partial(prune_statements.prune_jobs, keep=self._keep.log)
        suspects = partial(prune_statements.prune_suspect_attempts, keep=self._keep.log)
        known = self._subscriptions.by_name.values()
        configured = {(it.owner, it.url_hash) for it in known}
        urls = partial(prune_statements.prune_urls, configured=configured, keep=self._keep.log)
        # A list, because all are pruned although some fail.
        good = [
            *[await self._prune_rule(rule) for rule in RULES],
            await self._prune_all("event_key", keys),
            await self._prune_all("request_id", prune_statements.prune_request_ids),
            await self._prune_all("resend_job", jobs),
            await self._prune_all("suspect_attempt", suspects),
            await self._prune_all("url", urls),
            *[
                await self._prune_all("figure", partial(prune_statements.prune_figures, unit=unit))
                for unit in Unit
            ],
        ]
        return all(good)

    async def _prune_all(
        self, kind: str, prune: Callable[[AsyncConnection], Awaitable[int]]
    ) -> bool:
        """
        Delete old rows of a table that is not kept owner by owner.
        """
        with self._failures.isolated(kind=kind) as block:
            _count(kind, await self._in_batches(prune))
        return block.error is None

    async def _prune_rule(self, rule: RetentionRule) -> bool:
        """
        Delete old rows of one kind, of all owners that have any.
        """
        count, good = 0, True
        with self._failures.isolated(kind=rule.kind) as block:
            async for owner in self._owners_with_old(rule):
                with self._failures.isolated(kind=rule.kind, owner=owner) as share:
                    count += await self._prune_owner(rule, owner)
                good = good and share.error is None
        _count(rule.kind, count)
        return good and block.error is None

    async def _owners_with_old(self, rule: RetentionRule) -> AsyncIterator[Any]:
        """
        Yield the owners that have rows of a kind that are too old.
        """
        owner = None
        while True:
            async with reading(self._engine) as db:
                found = await prune_statements.oldest_of(db, rule.index, owner)
            for owner, oldest, now in found:
                if now - oldest > self._kept_for(owner, payloads=rule.payloads):
                    yield owner
            if len(found) < prune_statements.OWNERS:
                return

    async def _prune_owner(self, rule: RetentionRule, owner: Any) -> int:
        started = time.monotonic()
        cutoff = self._cutoff(rule, owner, started)
        count = await self._in_batches(lambda db: rule.prune(db, owner, cutoff))
        self._pruned_at[rule.kind, owner] = started
        await asyncio.sleep((time.monotonic() - started) * REST_FACTOR)
        return count

    def _cutoff(self, rule: RetentionRule, owner: Any, now: float) -> Cutoff:
        age = self._kept_for(owner, payloads=rule.payloads)
        last = self._pruned_at.get((rule.kind, owner))
        pruned = None if last is None else age + timedelta(seconds=now - last) + MARGIN
        return Cutoff(age, pruned, warehouses_keep_longer=age < self._longest_of_warehouses())

    def _longest_of_warehouses(self) -> timedelta:
        """
        Return the longest time for which a warehouse may keep anything.
        """
        spans = [self._keep.payloads, self._keep.log]
        for settings in self._subscriptions.settings_of_warehouses():
            spans += filter(None, (settings.payload_retention, settings.log_retention))
        return max(spans)

    def _kept_for(self, owner: str | int, *, payloads: bool) -> timedelta:
        """
        Return how long rows of an owner, or of an account by its number, are kept.
        """
        name = owner if isinstance(owner, str) else names.account(owner)
        settings = self._subscriptions.settings(name)
        if payloads:
            return settings.payload_retention or self._keep.payloads
        return settings.log_retention or self._keep.log

    async def _in_batches(self, prune: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        """
        Call *prune*, each time in a transaction of its own, until a batch is not full.
        """
        total = 0
        while True:
            async with writing(self._engine) as db:
                count = await prune(db)
            total += count
            if count < prune_statements.BATCH:
                return total
            await asyncio.sleep(PAUSE_SECONDS)


def _count(kind: str, count: int) -> None:
    PRUNED.add(kind, count=count)
    if count:
        log.info("maintenance.pruned", kind=kind, count=count)

"""
Follows the settling of attempts: notes which endpoints fail, and in the same
transaction all that follows from a change.

A group of successes of endpoints that are well costs nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.work import Lease, Settlement
from dispatch_service.feed import backlog_updates, overrides, reports, snapshot
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.feed.overrides import SubscriptionKey
from dispatch_service.health import judge, rows
from dispatch_service.health.changes import EndpointChange, event_of, report_of
from dispatch_service.health.judge import Change, Health, Patience
from dispatch_service.intake.prepare import Preparer
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_ENDS = {Change.GONE: "GONE", Change.DEACTIVATED: "FAILING"}

# These say nothing of the receiver.
_OURS = frozenset({FailureKind.INTERNAL, FailureKind.RENDER, FailureKind.INTERRUPTED})

log = structlog.get_logger()


class HealthLog:
    """
    Knows which endpoints fail. `follow` belongs into the transaction that settles.
    """

    def __init__(
        self,
        queue: Queue,
        subscriptions: SubscriptionIndex,
        keys: DayKeys,
        lease: Lease,
        *,
        report_after: timedelta,
    ) -> None:
        self._queue = queue
        self._subscriptions = subscriptions
        self._preparer = Preparer(subscriptions)
        self._keys = keys
        self._lease = lease
        self._report_after = report_after
        self._failing: set[SubscriptionKey] = set()

    async def load(self, engine: AsyncEngine) -> None:
        """
        Learn what the tables say: what other processes found out, too.
        """
        async with reading(engine) as db:
            self._failing |= await rows.failing(db)
            self._subscriptions.override(await overrides.overrides(db))

    def wants(self, settlements: Sequence[Settlement]) -> bool:
        """
        Tell whether attempts say anything new of their endpoints.
        """
        return any(map(self._tells, settlements))

    async def follow(self, db: AsyncConnection, held: Sequence[Settlement]) -> None:
        """
        Note what attempts say of their endpoints.
        """
        by_name = self._subscriptions.by_name
        telling = [(it, by_name.get(_name(it))) for it in held if self._tells(it)]
        known = [(it, subscription) for it, subscription in telling if subscription is not None]
        if known:
            await self._follow(db, known)

    def _tells(self, settlement: Settlement) -> bool:
        attempt, claimed = settlement.attempt, settlement.claimed
        if attempt is None or attempt.failure_kind in _OURS:
            return False
        told = attempt.failure_kind is not None or _key(settlement) in self._failing
        return told and not claimed.test

    async def _follow(
        self, db: AsyncConnection, telling: Sequence[tuple[Settlement, Subscription]]
    ) -> None:
        now: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
        known: dict[SubscriptionKey, Health | None] = {}
        known |= await rows.lock(db, {_key(it) for it, _ in telling})
        changes = []
        for settlement, subscription in telling:
            key = _key(settlement)
            before = known[key]
            known[key], change = self._judge(settlement, subscription, before, now)
            if change is not None:
                changes.append(_told(settlement, subscription, change, now, known[key] or before))
        await rows.write(db, known, {_key(it): them.revision for it, them in telling})
        for told in changes:
            await self._change(db, told)
        self._failing |= {key for key, it in known.items() if it is not None}
        self._failing -= {key for key, it in known.items() if it is None}

    def _judge(
        self,
        settlement: Settlement,
        subscription: Subscription,
        before: Health | None,
        now: datetime,
    ) -> tuple[Health | None, Change | None]:
        if settlement.attempt is not None and settlement.attempt.failure_kind is None:
            return None, judge.succeeded(before)
        patience = Patience(self._report_after, subscription.deactivate_after)
        after, change = judge.failed(before, now, patience, gone=settlement.transition.gone)
        if change in _ENDS and not subscription.active:
            return after, None  # it was ended before
        return after, change

    async def _change(self, db: AsyncConnection, told: EndpointChange) -> None:
        """
        Write all that follows from a change: the report, the webhooks, the end.
        """
        subscription = told.subscription
        reason = _ENDS.get(told.change)
        if reason is not None and await overrides.is_overridden(db, subscription):
            # Another process was first, and has told it.
            self._subscriptions.override({subscription.name: subscription.revision})
            return
        await reports.put_reports(db, [(subscription.owner, report_of(told))])
        if told.raises_webhooks:
            sealer = self._keys.newest()
            (prepared,) = self._preparer.prepare([event_of(told)], sealer)
            await self._queue.store_on(db, [prepared.event], self._lease)
        if reason is not None:
            await self._end(db, subscription, reason)
        log.warning("endpoint.changed", subscription=subscription.name, kind=told.change.value)

    async def _end(self, db: AsyncConnection, subscription: Subscription, reason: str) -> None:
        """
        Let a subscription count as Inactive, unless its owner has changed it meanwhile.
        """
        revision = subscription.revision
        if await snapshot.is_outdated(db, subscription.name, revision):
            return
        await overrides.override(db, subscription, reason)
        await backlog_updates.note(db, [_suspended(subscription)])
        # Were the transaction to fail, the next answer of the feed would put it right.
        self._subscriptions.override({subscription.name: revision})


def _suspended(it: Subscription) -> BacklogUpdate:
    key = (it.owner, it.subscription_id)
    return BacklogUpdate(*key, it.revision, BacklogAction.SUSPEND, it.endpoint, it.ordered)


def _key(settlement: Settlement) -> SubscriptionKey:
    return (settlement.claimed.owner, settlement.claimed.subscription)


def _name(settlement: Settlement) -> str:
    return names.subscription(settlement.claimed.owner, settlement.claimed.subscription)


def _told(
    settlement: Settlement,
    subscription: Subscription,
    change: Change,
    now: datetime,
    known: Health | None,
) -> EndpointChange:
    attempt = settlement.attempt
    return EndpointChange(
        new_id(),
        subscription,
        change,
        now,
        known,
        (attempt.failure_kind if attempt else None) or "",
        (attempt.response_code if attempt else None) or 0,
    )

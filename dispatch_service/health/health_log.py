"""
Record which endpoints fail as attempts are settled, and write in the same transaction all that
follows from a change.

A group of successes of healthy endpoints costs nothing here.
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
from dispatch_service.health import judge, rows
from dispatch_service.health.changes import EndpointChange, event_of, report_of
from dispatch_service.health.judge import FailurePolicy, FailureStreak, HealthChange
from dispatch_service.intake.prepare import Preparer
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription, SubscriptionKey
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# The changes that make a subscription Inactive, with the reason of the override.
_ENDS = {HealthChange.GONE: "GONE", HealthChange.DEACTIVATED: "FAILING"}

# These kinds say nothing about the receiver.
_INTERNAL_KINDS = frozenset(
    {
        FailureKind.INTERNAL,
        FailureKind.RENDER,
        FailureKind.BODY_ERASED,
        FailureKind.BODY_DAMAGED,
        FailureKind.INTERRUPTED,
    }
)

log = structlog.get_logger()


class HealthLog:
    """
    Record which endpoints fail.
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
        self._preparer = Preparer(subscriptions, new_id)
        self._keys = keys
        self._lease = lease
        self._report_after = report_after
        self._failing: set[SubscriptionKey] = set()

    async def load(self, engine: AsyncEngine) -> None:
        """
        Read the failing endpoints and the overrides, also those of other processes.
        """
        async with reading(engine) as db:
            self._failing |= await rows.failing(db)
            self._subscriptions.override(await overrides.overrides(db))

    def has_effects(self, settlements: Sequence[Settlement]) -> bool:
        """
        Tell whether any of the attempts changes the health of its endpoint.
        """
        return any(map(self._has_effect, settlements))

    async def on_settled(self, db: AsyncConnection, held: Sequence[Settlement]) -> None:
        """
        Record the attempts, and what follows from them, in the transaction that settles them.
        """
        by_key = self._subscriptions.by_key
        found = [(it, by_key.get(_key(it))) for it in held if self._has_effect(it)]
        known = [(it, subscription) for it, subscription in found if subscription is not None]
        if known:
            await self._record(db, known)

    def _has_effect(self, settlement: Settlement) -> bool:
        attempt, claimed = settlement.attempt, settlement.claimed
        if attempt is None or attempt.failure_kind in _INTERNAL_KINDS:
            return False
        changed = attempt.failure_kind is not None or _key(settlement) in self._failing
        return changed and not claimed.test

    async def _record(
        self, db: AsyncConnection, attempts: Sequence[tuple[Settlement, Subscription]]
    ) -> None:
        now: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
        streaks: dict[SubscriptionKey, FailureStreak | None] = {}
        streaks |= await rows.lock(db, {_key(settlement) for settlement, _ in attempts})
        changes = []
        for settlement, subscription in attempts:
            key = _key(settlement)
            before = streaks[key]
            after, kind = self._judge(settlement, subscription, before, now)
            streaks[key] = after
            if kind is not None:
                changes.append(_change(settlement, subscription, kind, now, after or before))
        revisions = {_key(settlement): used.revision for settlement, used in attempts}
        await rows.write(db, streaks, revisions)
        for change in changes:
            await self._apply(db, change)
        self._failing |= {key for key, streak in streaks.items() if streak is not None}
        self._failing -= {key for key, streak in streaks.items() if streak is None}

    def _judge(
        self,
        settlement: Settlement,
        subscription: Subscription,
        before: FailureStreak | None,
        now: datetime,
    ) -> tuple[FailureStreak | None, HealthChange | None]:
        if settlement.attempt is not None and settlement.attempt.failure_kind is None:
            return None, judge.succeeded(before)
        policy = FailurePolicy(self._report_after, subscription.deactivate_after)
        after, kind = judge.failed(before, now, policy, gone=settlement.transition.gone)
        if kind in _ENDS and not subscription.active:
            return after, None  # an earlier attempt has ended the subscription
        return after, kind

    async def _apply(self, db: AsyncConnection, change: EndpointChange) -> None:
        """
        Write what follows from a change: the report, the webhooks, the end of the subscription.
        """
        subscription = change.subscription
        reason = _ENDS.get(change.kind)
        if reason is not None and await overrides.is_overridden(db, subscription):
            # Another process was first, and has reported it.
            self._subscriptions.override({subscription.name: subscription.revision})
            return
        await reports.put_reports(db, [(subscription.owner, report_of(change))])
        if change.raises_webhooks:
            sealer = self._keys.newest()
            (prepared,) = self._preparer.prepare([event_of(change)], sealer)
            await self._queue.insert_into(db, [prepared.event], self._lease)
        if reason is not None:
            await self._deactivate(db, subscription, reason)
        log.warning("endpoint.changed", subscription=subscription.name, kind=change.kind.value)

    async def _deactivate(
        self, db: AsyncConnection, subscription: Subscription, reason: str
    ) -> None:
        """
        Make a subscription Inactive in this service and suspend its backlog.

        Does nothing if its owner has changed it meanwhile.
        """
        revision = subscription.revision
        if await snapshot.is_outdated(db, subscription.name, revision):
            return
        await overrides.override(db, subscription, reason)
        await backlog_updates.record(db, [_suspended(subscription)])
        # If the transaction fails, the next response of the feed corrects this.
        self._subscriptions.override({subscription.name: revision})


def _suspended(subscription: Subscription) -> BacklogUpdate:
    return BacklogUpdate(
        subscription.owner,
        subscription.subscription_id,
        subscription.revision,
        BacklogAction.SUSPEND,
        subscription.endpoint,
        subscription.ordered,
    )


def _key(settlement: Settlement) -> SubscriptionKey:
    return (settlement.claimed.owner, settlement.claimed.subscription)


def _change(
    settlement: Settlement,
    subscription: Subscription,
    kind: HealthChange,
    now: datetime,
    streak: FailureStreak | None,
) -> EndpointChange:
    attempt = settlement.attempt
    return EndpointChange(
        new_id(),
        subscription,
        kind,
        now,
        streak,
        (attempt.failure_kind if attempt else None) or "",
        (attempt.response_code if attempt else None) or 0,
    )

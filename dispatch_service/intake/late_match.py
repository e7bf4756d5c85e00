"""
Matches events that are stored already: those that were accepted before the first snapshot of
the subscriptions, and those that were accepted before this process knew a subscription.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from dispatch_service.domain.work import EventKey, Lease, NewEvent
from dispatch_service.intake.accepted_events import AcceptedEvent, EventReader
from dispatch_service.intake.late_subscriptions import LateSubscriptions
from dispatch_service.intake.prepare import Preparer
from dispatch_service.queue import missing
from dispatch_service.queue.missing import DeliveryKey
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import Routed
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.faults import is_unavailable
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 100

Matched = tuple[AcceptedEvent, tuple[Subscription, ...]]
"""
An event with subscriptions that want it.
"""

log = structlog.get_logger()


class Matcher:
    """
    Stores what follows from events that are stored already. Several processes may do so at a
    time: what another one has stored is left as it is.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        queue: Queue,
        keys: DayKeys,
        subscriptions: SubscriptionIndex,
        lease: Lease,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._preparer = Preparer(subscriptions, new_id)
        self._keys = keys
        self._subscriptions = subscriptions
        self._lease = lease
        self._events = EventReader(engine, keys)
        self._failures = FailureLog("event.match_failed")

    async def drain(self) -> int:
        """
        Match all that waits for a snapshot, if there is one; return the number of events. Once
        none is left, new events are matched as they are published.
        """
        if not self._subscriptions.received:
            return 0
        total = 0
        while count := await self._match_waiting():
            total += count
        self._subscriptions.complete = True
        if total:
            log.info("event.matched_late", events=total)
        return total

    async def _match_waiting(self) -> int:
        waiting = await self._events.waiting(BATCH)
        if waiting:
            sealer = await self._keys.today()
            prepared = self._preparer.prepare([it.event for it in waiting], sealer)
            await self._queue.insert_matches([it.event for it in prepared], self._lease)
        return len(waiting)

    async def add_missing(
        self, keys: Sequence[EventKey], late: LateSubscriptions, now: datetime
    ) -> int:
        """
        Store the deliveries to *late* subscriptions that accepted events lack; return how many.

        *now* is a time of the database.
        """
        total = 0
        for start in range(0, len(keys), BATCH):
            events = await self._events.read(keys[start : start + BATCH])
            lacking = await self._lacking(
                [(it, late.match(read_facts(it.event), it.accept_time)) for it in events]
            )
            if lacking:
                total += await self._store(await self._prepare(lacking, now))
        if total:
            log.info("event.matched_late", deliveries=total)
        return total

    async def _lacking(self, matched: Sequence[Matched]) -> list[Matched]:
        """
        Leave out what is stored, before anything is rendered.
        """
        keys = {_key(it, found) for it, subscriptions in matched for found in subscriptions}
        if not keys:
            return []
        async with reading(self._engine) as db:
            keys -= await missing.stored(db, keys)
        lacking = [
            (it, tuple(found for found in subscriptions if _key(it, found) in keys))
            for it, subscriptions in matched
        ]
        return [(it, subscriptions) for it, subscriptions in lacking if subscriptions]

    async def _prepare(self, lacking: Sequence[Matched], now: datetime) -> list[NewEvent]:
        sealer = await self._keys.today()
        prepared = self._preparer.prepare_routed(
            [it.event for it, _ in lacking], [Routed(found) for _, found in lacking], sealer
        )
        for made, (it, _) in zip(prepared, lacking, strict=True):
            for delivery in made.event.deliveries:
                # The time in which nobody tried to send it does not count.
                delivery.lifetime += now - it.accept_time
        return [it.event for it in prepared]

    async def _store(self, group: Sequence[NewEvent]) -> int:
        """
        Store a group. One that the store refuses is stored event by event, without those that it
        refuses alone.
        """
        if not group:
            return 0
        try:
            return await self._queue.insert_missing(group, self._lease)
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(group) == 1:
                self._failures.log(error, account=group[0].account)
                return 0
        return sum([await self._store([event]) for event in group])


def _key(it: AcceptedEvent, subscription: Subscription) -> DeliveryKey:
    event = it.event
    return (subscription.owner, event.account_id, event.event_id, subscription.subscription_id)

"""
Matches the events that were accepted before the first snapshot of the subscriptions, oldest
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from dispatch_service.domain.work import Lease
from dispatch_service.intake.prepare import Preparer
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage import associated_data
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.schema import events
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 100
WAITING_SECONDS = 0.1
IDLE_SECONDS = 5.0

log = structlog.get_logger()


class Matcher:
    """
    Matches waiting events; once none is left, new events are matched as they are published.
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

    def pause_seconds(self) -> float:
        """
        Return how long to wait before looking again: a publish that was under way when the
        snapshot came, or another replica, may leave events unmatched.
        """
        return IDLE_SECONDS if self._subscriptions.complete else WAITING_SECONDS

    async def drain(self) -> int:
        """
        Match all that waits, if there is a snapshot; return the number of events.
        """
        if not self._subscriptions.received:
            return 0
        total = 0
        while count := await self.run_once():
            total += count
        self._subscriptions.complete = True
        if total:
            log.info("event.matched_late", events=total)
        return total

    async def run_once(self) -> int:
        """
        Match one batch; return the number of events that waited in it.
        """
        waiting = await self._oldest()
        if waiting:
            sealer = await self._keys.today()
            group = [it.event for it in self._preparer.prepare(waiting, sealer)]
            await self._queue.insert_matches(group, self._lease)
        return len(waiting)

    async def _oldest(self) -> Sequence[event_pb2.Event]:
        query = (
            sa.select(events.c.account, events.c.event_id, events.c.sealed_payload)
            .where(events.c.match_state == sa.literal_column("'PENDING_MATCH'"))
            .order_by(events.c.accept_time)
            .limit(BATCH)
        )
        async with reading(self._engine) as db:
            rows = (await db.execute(query)).all()
        return [
            event_pb2.Event.FromString(
                await self._keys.open(
                    row.sealed_payload, associated_data.event(row.account, row.event_id)
                )
            )
            for row in rows
        ]

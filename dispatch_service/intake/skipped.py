"""
Counts the events that were not sent because a subscription was Inactive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.feed import reports
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.database.engine import writing
from service_runtime.database.instants import database_now
from shipedge.webhooks.config.v1 import endpoint_event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class SkippedCounts:
    """
    Counts in memory until `write_down`. A crash loses the counts of some seconds.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, skipped: Iterable[Subscription]) -> None:
        """
        Count one event for each subscription.
        """
        for it in skipped:
            self._counts[it.owner, it.name, it.revision] += 1

    async def write_down(self, engine: AsyncEngine) -> None:
        """
        Write the counts as reports to the config service, if there are any.
        """
        if self:
            async with writing(engine) as db:
                await self.store(db)

    async def store(self, db: AsyncConnection) -> None:
        """
        Write the counts as reports, in an open transaction.
        """
        counts = dict(self._counts)
        now: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
        counted = [
            (owner, _report(name, revision, count, now))
            for (owner, name, revision), count in counts.items()
        ]
        await reports.put_reports(db, counted)
        self._counts.subtract(counts)
        self._counts = +self._counts

    def __bool__(self) -> bool:
        return bool(self._counts)


def _report(
    name: str, revision: int, count: int, now: datetime
) -> endpoint_event_pb2.EndpointEvent:
    report = endpoint_event_pb2.EndpointEvent(
        endpoint_event_id=new_id(),
        subscription=name,
        subscription_revision=revision,
        kind=endpoint_event_pb2.EndpointEvent.KIND_EVENTS_SKIPPED,
        skipped_event_count=count,
    )
    report.occur_time.FromDatetime(now)
    return report

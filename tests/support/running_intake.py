"""
A running intake on a real database, whose deliveries are recorded instead of attempted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues, LimitOf
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.memory_usage import Bounds
from dispatch_service.domain.work import Release
from dispatch_service.intake.accept import EventAcceptor
from dispatch_service.intake.backlog_limits import Backlog, Limits
from dispatch_service.intake.commit import Check, GroupCommitter
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.intake.waiting import Answer, WaitingEvents
from dispatch_service.payloads import check as check_event
from dispatch_service.payloads import example_event
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.sealing import DayKeys
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.progress import Progress
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.dispatch_factories import LEASE


@dataclass
class RunningIntake:
    """
    An intake that takes 50 waiting events and 3 unfinished deliveries, and its parts.
    """

    acceptor: EventAcceptor
    waiting: WaitingEvents
    backlog: Backlog
    endpoint_queues: EndpointQueues
    keys: DayKeys
    subscriptions: SubscriptionIndex
    dispatched: list[Ready] = field(default_factory=list)

    async def accept(self, *events: event_pb2.Event) -> list[Answer]:
        """
        Publish events in one call.
        """
        return await self.acceptor.accept(events)

    async def nothing_held(self) -> None:
        """
        Wait, a bounded time, until no delivery has a slot in memory, be it a reserved one.
        """
        async with asyncio.timeout(20):
            while self.endpoint_queues.in_memory() or self.endpoint_queues.full():
                await asyncio.sleep(0.01)


def day_keys(store: AsyncEngine) -> DayKeys:
    """
    Make the data keys of a database.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    return DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock


@asynccontextmanager
async def running_intake(
    store: AsyncEngine,
    queue: Queue,
    *,
    keys: DayKeys | None = None,
    subscriptions: SubscriptionIndex | None = None,
    limit_of: LimitOf = lambda _owner, _id: NO_LIMIT,
    check: Check = check_event,
    most_waiting: int = 50,
    progress: Progress | None = None,
) -> AsyncIterator[RunningIntake]:
    """
    Run an intake; at the end commit what waits.
    """
    dispatched: list[Ready] = []

    async def record(ready: Ready) -> bool:
        dispatched.append(ready)
        return False

    released: list[Release] = []
    slots = EndpointQueues(record, released.append, Endpoints(8), Bounds(100, 1000), limit_of)
    keys = keys or day_keys(store)
    index = subscriptions or SubscriptionIndex(received=True, complete=True)
    backlog = Backlog(store, Limits(most_deliveries=3, least_disk=0))
    waiting = WaitingEvents(most_waiting)
    committer = GroupCommitter(
        waiting,
        queue,
        slots,
        LEASE,
        index,
        keys,
        SkippedCounts(),
        backlog.counts,
        check=check,
        progress=progress,
    )
    acceptor = EventAcceptor(store, keys, waiting, backlog)
    running = asyncio.create_task(waiting.run(committer.commit))
    try:
        yield RunningIntake(acceptor, waiting, backlog, slots, keys, index, dispatched)
    finally:
        waiting.stop()
        await running


def shipped(event_id: str, *, account: int = 100, **order: Any) -> event_pb2.Event:
    """
    Make the documented shipped order under another id.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = event_id, account
    for name, value in order.items():
        setattr(event.order_status_changed.order, name, value)
    return event


async def count(store: AsyncEngine, table: sa.Table) -> int:
    """
    Count the rows of a table.
    """
    async with store.connect() as db:
        return (await db.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()


def kinds(answers: Sequence[Answer]) -> list[type]:
    """
    Return the classes of answers.
    """
    return [type(answer) for answer in answers]

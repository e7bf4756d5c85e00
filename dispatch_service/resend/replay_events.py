"""
Finding the events that a subscription lacks, a bounded number at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.work import EventKey
from dispatch_service.intake import accepted_events
from dispatch_service.intake.accepted_events import EventReader
from dispatch_service.intake.late_subscriptions import WantedEvents
from dispatch_service.queue import missing
from dispatch_service.resend import replays
from dispatch_service.resend.replays import Span
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import events
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.row_values import in_keys
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 100

MOST_PAGES = 100
"""
How many pages without a wanted event are passed over at once.
"""

_KEY = (events.c.account, events.c.event_id)


@dataclass(frozen=True, slots=True)
class Position:
    """
    How far a replay is: all events up to *after_time* were looked at, *count* together.
    """

    after_time: datetime | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """
    The *events* that a subscription wants and lacks, in the order of their acceptance, among so
    many that were *looked_at*. The content of *unread* could not be opened.

    *after_time* is where to go on, and *done* tells that there are no more.
    """

    events: Sequence[event_pb2.Event] = field(repr=False)
    looked_at: int
    unread: int
    after_time: datetime | None
    done: bool


@dataclass(frozen=True, slots=True)
class _Keys:
    wanted: Sequence[EventKey]
    looked_at: int
    after_time: datetime | None
    done: bool


class ReplayReader:
    """
    Reads the events that subscriptions lack.
    """

    def __init__(
        self, engine: AsyncEngine, keys: DayKeys, subscriptions: SubscriptionIndex
    ) -> None:
        self._engine = engine
        self._events = EventReader(engine, keys)
        self._subscriptions = subscriptions

    async def read(
        self, subscription: Subscription, span: Span, position: Position, size: int = BATCH
    ) -> FoundEvents:
        """
        Look at about *size* events of *span* from *position* on.
        """
        late = replays.late_of(subscription, self._subscriptions)
        wanted = replays.wanted_by(late, span.kinds)
        if wanted is None:
            return FoundEvents((), 0, 0, None, done=True)
        async with reading(self._engine) as db:
            keys = await _keys(db, span, wanted, position, size)
            lacking = await _lacking(db, subscription, keys.wanted)
        found = await self._events.read(lacking) if lacking else []
        unread = 0
        if len(found) < len(lacking):
            unread = await self._kept(lacking) - len(found)
        matched = [it.event for it in found if late.match(read_facts(it.event), it.accept_time)]
        return FoundEvents(matched, keys.looked_at, unread, keys.after_time, done=keys.done)

    async def count(self, subscription: Subscription, span: Span) -> int:
        """
        Count the events of *span* that a subscription wants and lacks.
        """
        total, position = 0, Position()
        while True:
            found = await self.read(subscription, span, position)
            total += len(found.events)
            if found.done:
                return total
            position = Position(found.after_time, position.count + found.looked_at)

    async def _kept(self, keys: Sequence[EventKey]) -> int:
        """
        Count those of *keys* whose content is there.
        """
        kept = sa.and_(in_keys(_KEY, keys), events.c.sealed_payload.is_not(None))
        query = sa.select(sa.func.count()).select_from(events).where(kept)
        async with reading(self._engine) as db:
            return int((await db.execute(query)).scalar_one())


async def _keys(
    db: AsyncConnection, span: Span, wanted: WantedEvents, position: Position, size: int
) -> _Keys:
    if span.keys is None:
        return await _in_span(db, span, wanted, position, size)
    some = span.keys[position.count : position.count + size]
    done = position.count + size >= len(span.keys)
    mine = sa.and_(in_keys(_KEY, some), accepted_events.is_wanted(wanted))
    may_match = {(it[0], it[1]) for it in await db.execute(sa.select(*_KEY).where(mine))}
    return _Keys([key for key in some if key in may_match], len(some), None, done)


async def _in_span(
    db: AsyncConnection, span: Span, wanted: WantedEvents, position: Position, size: int
) -> _Keys:
    begin_after = position.after_time or span.start - replays.MICROSECOND
    until = span.end - replays.MICROSECOND
    for _ in range(MOST_PAGES):
        page = await accepted_events.page(db, wanted, begin_after, until, size)
        if page.keys or page.last is None:
            break
        begin_after = page.last
    return _Keys(page.keys, len(page.keys), page.last, page.last is None)


async def _lacking(
    db: AsyncConnection, subscription: Subscription, keys: Sequence[EventKey]
) -> list[EventKey]:
    """
    Leave out the events of which a delivery is stored, before anything is opened.
    """
    owner, subscription_id = subscription.key
    wanted = [(owner, *key, subscription_id) for key in keys]
    stored = await missing.stored(db, wanted) if wanted else set()
    return [key for key, it in zip(keys, wanted, strict=True) if it not in stored]

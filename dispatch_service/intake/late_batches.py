"""
The loop that matches accepted events with subscriptions that this process, or one that has
ended, did not know when it accepted them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.delivery.batches import InFlight
from dispatch_service.intake import accepted_events
from dispatch_service.intake import match_positions as positions
from dispatch_service.intake.late_match import Matcher
from dispatch_service.intake.late_subscriptions import LateSubscriptions, PendingSubscriptions
from dispatch_service.intake.match_positions import FeedPosition, LeftPosition
from dispatch_service.intake.returned import ReturnedSubscriptions
from dispatch_service.routing.index import SubscriptionIndex
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

WAITING_SECONDS = 0.1
"""
How often a snapshot is looked for.
"""

IDLE_SECONDS = 5.0
"""
How often the position is stored and those of processes that have ended are looked for.
"""

LINGER_SECONDS = 0.05
"""
How long a batch waits for more subscriptions, which share its reading of events.
"""

UNKNOWN_OFFSET = timedelta(minutes=-1)
"""
What clocks may differ by that were never compared.
"""


@dataclass(slots=True)
class _Batch:
    """
    Subscriptions with the instants from which on events are matched with them. Events up to
    *begin_after* have been, those after *until* need not be. The feed was at *revision*.
    """

    since: Mapping[str, datetime]
    begin_after: datetime
    until: datetime
    left: Sequence[LeftPosition]
    revision: int


class LateBatches:
    """
    Matches *pending* subscriptions late, a page of events at a time; a batch that has much to
    read does not hold up the others.

    *position* tells how far this process, whose name is *name*, has applied the feed. What was
    matched before a subscription was known may be *in_flight* to its commit, and is waited for.
    A process that does not store its position for *alive_for* has ended. *became_due* is called
    when deliveries are stored.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        matcher: Matcher,
        subscriptions: SubscriptionIndex,
        pending: PendingSubscriptions,
        position: Callable[[], FeedPosition],
        in_flight: Sequence[InFlight],
        *,
        name: str,
        alive_for: timedelta,
        became_due: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._matcher = matcher
        self._subscriptions = subscriptions
        self._position = position
        self._in_flight = in_flight
        self._name = name
        self._alive_for = alive_for
        self._became_due = became_due
        self._pending = pending
        self._batches: deque[_Batch] = deque()
        self._left: dict[str, LeftPosition] = {}
        self._returned = ReturnedSubscriptions()
        self._stored: FeedPosition | None = None
        self._next_look = 0.0

    def pause_seconds(self) -> float:
        """
        Return how long to wait before looking again: a publish that was under way when the
        snapshot came, or another replica, may leave events unmatched.
        """
        return IDLE_SECONDS if self._subscriptions.complete else WAITING_SECONDS

    async def begin(self) -> None:
        """
        Store the position from which this process goes on, then match what waits for a
        snapshot: from then on it matches what it takes.
        """
        if not self._subscriptions.received:
            return
        if self._stored is None:
            async with writing(self._engine) as db:
                self._stored = await positions.begin(db, self._name, self._position())
        await self._matcher.drain()

    async def run_once(self) -> bool:
        """
        Match one page of events; tell whether there is more to do.
        """
        await self.begin()
        if not self._subscriptions.complete:
            return False
        returned = self._pending.take_returned()
        if returned or time.monotonic() >= self._next_look:
            await self._look(returned)
        if self._pending or self._left:
            await self._begin_batch()
        if self._batches:
            await self._advance(self._batches[0])
            self._batches.rotate(-1)
        return bool(self._batches or self._pending)

    async def _look(self, returned: Mapping[str, datetime | None]) -> None:
        """
        Store how far this process is, unless something is left to do, and find what others have
        left and what subscriptions have missed.
        """
        idle = not (self._batches or self._pending or self._left)
        self._stored = self._position() if idle or self._stored is None else self._stored
        try:
            async with writing(self._engine) as db:
                await positions.store(db, self._name, self._stored)
                found = await positions.left(db, self._name, self._alive_for)
                # In the transaction that tells others that this process is so far.
                lowest = await positions.lowest(db)
                missed = await self._returned.find(db, returned, lowest)
        except BaseException:
            for name, since in returned.items():
                self._pending.returned(name, since)
            raise
        for name, since in missed.items():
            self._pending.add(name, since)
        for it in found:
            if it.name not in self._left and not any(it in batch.left for batch in self._batches):
                self._left[it.name] = it
                self._take_over(it.position)
        self._next_look = time.monotonic() + IDLE_SECONDS

    def _take_over(self, left: FeedPosition) -> None:
        offsets = [it for it in (left.offset, self._position().offset) if it is not None]
        offset = min(offsets, default=UNKNOWN_OFFSET)
        known = self._subscriptions.by_name.values()
        for subscription in positions.changed_after(left, known):
            if subscription.matches_since is not None:
                self._pending.add(subscription.name, subscription.matches_since + offset)

    async def _begin_batch(self) -> None:
        """
        Make a batch of what is pending, once what was matched without it is committed.
        """
        await asyncio.sleep(LINGER_SECONDS)
        since, left, revision = self._pending.since(), dict(self._left), self._position().revision
        for in_flight in self._in_flight:
            await in_flight.ended()
        async with reading(self._engine) as db:
            until: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
        self._pending.remove(since)
        for name in left:
            del self._left[name]
        oldest = min(since.values(), default=until) - timedelta(microseconds=1)
        self._batches.append(_Batch(since, oldest, until, list(left.values()), revision))

    async def _advance(self, batch: _Batch) -> None:
        """
        Match one page with the subscriptions of a batch, and forget the batch at its end.
        """
        late = LateSubscriptions(batch.since, self._subscriptions)
        wanted = late.wanted()
        if wanted is not None:
            async with reading(self._engine) as db:
                page = await accepted_events.page(db, wanted, batch.begin_after, batch.until)
            if await self._matcher.add_missing(page.keys, late, batch.until):
                self._became_due()
            if page.last is not None:
                batch.begin_after = page.last
                return
        if batch.left:
            async with writing(self._engine) as db:
                await positions.drop(db, batch.left)
        self._batches.remove(batch)
        self._returned.ended(batch.since, batch.revision)

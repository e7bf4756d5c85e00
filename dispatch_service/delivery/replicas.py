"""
The processes that share a database: they store which breakers are open and that they are alive.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, SubscriptionLimit
from dispatch_service.delivery.endpoints import Endpoints, OpenBreaker
from dispatch_service.domain.clock_watch import ClockWatch
from dispatch_service.domain.work import EndpointKey
from dispatch_service.queue import clock_steps
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import dispatchers, endpoint_states
from service_runtime.database.engine import reading, writing
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

SYNC_SECONDS = 1.0
STORED_TOGETHER = 20
"""
So many breakers are stored in a transaction: SQLite has one writer, and publishers wait for it.
"""

HEARTBEAT_SECONDS = 5.0
ALIVE_FOR = timedelta(seconds=20)
FORGET_AFTER = timedelta(days=1)

KEY = ("owner", "endpoint")


log = structlog.get_logger()


class Replicas:
    """
    Synchronises open breakers between memory and table, counts the processes that are alive, and
    looks whether the database's clock has stepped. Leases last as long as *lease*.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        endpoints: Endpoints,
        name: str,
        clock: ClockWatch | None = None,
        lease: timedelta = timedelta(seconds=45),
    ) -> None:
        self.count = 1
        self._clock = clock or ClockWatch()
        self._lease = lease
        self._engine = engine
        self._endpoints = endpoints
        self._name = name
        self._next_heartbeat = 0.0

    async def sync(self) -> None:
        """
        Store the breakers that changed here, then read those that changed elsewhere.
        """
        await self._store(self._endpoints.take_changes())
        asked_at = time.monotonic()
        async with reading(self._engine) as db:
            stored = await _open_breakers(db)
            shown = (await db.execute(sa.select(database_now()))).scalar_one()
            alive = dispatchers.c.heartbeat_time > after(-ALIVE_FOR)
            count = await db.execute(sa.select(sa.func.count()).where(alive))
            self.count = max(count.scalar_one(), 1)
        if not await self._adjust_to_clock(shown, asked_at):
            self._endpoints.learn(stored, asked_at)

    async def _adjust_to_clock(self, shown: datetime, asked_at: float) -> bool:
        """
        Adjust what was written before a step of the clock; return whether there was one. Until
        that is done the time of before is trusted.
        """
        answered_at = time.monotonic()
        step = self._clock.step(shown, asked_at, answered_at)
        if step:
            log.warning("clock.stepped", seconds=round(step.total_seconds(), 3))
            await clock_steps.adjust(self._engine, step, self._lease)
        self._clock.accept(shown, asked_at, answered_at)
        return bool(step)

    async def beat(self) -> None:
        """
        Write that this process is alive: what loops do that have nothing else to write.
        """
        own = dispatchers.c.name == self._name
        row = {"heartbeat_time": database_now()}
        async with writing(self._engine) as db:
            await db.execute(sa.update(dispatchers).where(own).values(row))

    async def leave(self) -> None:
        """
        Store the last changes, and no longer count as alive.
        """
        await self._store(self._endpoints.take_changes())
        async with writing(self._engine) as db:
            await db.execute(sa.delete(dispatchers).where(dispatchers.c.name == self._name))

    async def _store(self, changes: Mapping[EndpointKey, OpenBreaker | None]) -> None:
        beats = time.monotonic() >= self._next_heartbeat
        if not (changes or beats):
            return
        left = sorted(changes)
        try:
            if beats:
                async with writing(self._engine) as db:
                    await self._beat(db)
                self._next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
            while left:
                async with writing(self._engine) as db:
                    for key in left[:STORED_TOGETHER]:
                        await _replace(db, key, changes[key])
                del left[:STORED_TOGETHER]
        except BaseException:
            self._endpoints.put_back({key: changes[key] for key in left})
            raise

    async def _beat(self, db: AsyncConnection) -> None:
        gone = sa.or_(
            dispatchers.c.name == self._name, dispatchers.c.heartbeat_time < after(-FORGET_AFTER)
        )
        await db.execute(sa.delete(dispatchers).where(gone))
        row = {"name": self._name, "heartbeat_time": database_now()}
        await db.execute(sa.insert(dispatchers).values(row))
        stale = endpoint_states.c.open_until < after(-FORGET_AFTER)
        await db.execute(sa.delete(endpoint_states).where(stale))


async def _replace(db: AsyncConnection, key: EndpointKey, opened: OpenBreaker | None) -> None:
    owner, endpoint = key
    if opened is None:
        same = sa.and_(endpoint_states.c.owner == owner, endpoint_states.c.endpoint == endpoint)
        await db.execute(sa.delete(endpoint_states).where(same))
        return
    values: dict[str, Any] = {
        "open_until": after(opened.pause),
        "trips": opened.trips,
        "update_time": database_now(),
    }
    if opened.failure_kind is not None:
        values |= {"failure_kind": opened.failure_kind, "response_code": opened.response_code}
    row = {"owner": owner, "endpoint": endpoint, "open_since": database_now(), **values}
    # While the row is there the breaker has not closed, so it stays open since then.
    statement = insert(db.dialect.name, endpoint_states).values(row)
    await db.execute(statement.on_conflict_do_update(index_elements=KEY, set_=values))


async def _open_breakers(db: AsyncConnection) -> dict[EndpointKey, OpenBreaker]:
    columns = endpoint_states.c
    query = sa.select(
        columns.owner, columns.endpoint, columns.open_until, columns.trips, database_now()
    )
    return {
        (owner, endpoint): OpenBreaker(until - now, trips)
        for owner, endpoint, until, trips, now in await db.execute(query)
    }


class SubscriptionLimits:
    """
    The limits of subscriptions, divided among the processes that are alive.
    """

    def __init__(self, subscriptions: SubscriptionIndex, replicas: Replicas) -> None:
        self._subscriptions = subscriptions
        self._replicas = replicas

    def of(self, owner: str, subscription_id: str) -> SubscriptionLimit:
        """
        Return what a subscription may use in this process: an equal share of its limits, but at
        least one request at a time.
        """
        if not self._subscriptions.limited:
            return NO_LIMIT
        key = (owner, subscription_id)
        if key not in self._subscriptions.limited:
            return NO_LIMIT
        found = self._subscriptions.by_key[key]
        count = self._replicas.count
        share = max(found.max_concurrency // count, 1) if found.max_concurrency else 0
        return SubscriptionLimit(share, found.rate_limit / count)

"""
The processes that share a database: they store which breakers are open and that they are alive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from dispatch_service.delivery.endpoint_queue import NO_LIMIT, SubscriptionLimit
from dispatch_service.delivery.endpoints import Endpoints, OpenBreaker
from dispatch_service.domain.clock_watch import ClockWatch
from dispatch_service.domain.leases import Heartbeats
from dispatch_service.domain.work import EndpointKey
from dispatch_service.queue import clock_steps, takeover
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

HEARTBEAT_SECONDS = 1.0
ALONE_SECONDS = 5.0
"""
How often a process says that it is alive: one that shares its database, and one that is alone.
"""

FORGET_SECONDS = 60.0
ALIVE_FOR = timedelta(seconds=20)
FORGET_AFTER = timedelta(days=1)

KEY = ("owner", "endpoint")


log = structlog.get_logger()


class Liveness:
    """
    Lets attempts begin as long as the heartbeats of this process get through; its leases last
    *lease* seconds.
    """

    def __init__(self, lease: float) -> None:
        self.heartbeats = Heartbeats(lease)
        self._waiting: list[asyncio.Future[None]] = []

    def got_through(self, sent: float, *, known: bool) -> None:
        """
        Note a heartbeat that was *sent* at a time of the monotonic clock.
        """
        self.heartbeats.got_through(sent, time.monotonic(), known=known)
        waiting, self._waiting = self._waiting, []
        for it in waiting:
            if not it.done():
                it.set_result(None)

    async def lease_left(self, lease_end: float) -> float:
        """
        Wait until a request may begin; return the seconds that are left of a lease, none if others
        may have taken it over.
        """
        while not self.heartbeats.may_begin(now := time.monotonic()):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return lease_end - now if self.heartbeats.holds(lease_end) else 0.0


class Replicas:
    """
    Synchronises open breakers between memory and table, counts the processes that are alive, takes
    over what the dead held, and looks whether the database's clock has stepped. Leases last as long
    as *lease*. *became_due* is called after leases were ended.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        endpoints: Endpoints,
        name: str,
        clock: ClockWatch | None = None,
        lease: timedelta = timedelta(seconds=45),
        became_due: Callable[[], None] = lambda: None,
    ) -> None:
        self.count = 1
        alone = engine.dialect.name == "sqlite"
        self.liveness = None if alone else Liveness(lease.total_seconds())
        self.heartbeat_seconds = ALONE_SECONDS if alone else HEARTBEAT_SECONDS
        self.found_dead = asyncio.Event()
        self._dead: Sequence[str] = ()
        self._session = takeover.NamedSession(engine, name)
        self._became_due = became_due
        self._clock = clock or ClockWatch()
        self._lease = lease
        self._engine = engine
        self._endpoints = endpoints
        self._name = name
        self._has_beaten = False
        self._next_forgetting = 0.0

    async def sync(self) -> None:
        """
        Store the breakers that changed here, then read those that changed elsewhere.
        """
        if not self._has_beaten:
            async with writing(self._engine) as db:
                await self._write_heartbeat(db)
        await self._store(self._endpoints.take_changes())
        if time.monotonic() >= self._next_forgetting:
            await self._forget_old()
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
            if self.liveness is not None:
                self.liveness.heartbeats.clock_stepped(answered_at)
            await clock_steps.adjust(self._engine, step, self._lease)
        self._clock.accept(shown, asked_at, answered_at)
        return bool(step)

    async def heartbeat(self) -> None:
        """
        Tell the others that this process is alive, and look which of them are.
        """
        sent = time.monotonic()
        async with self._session.writing() as db:
            known = await self._write_heartbeat(db)
        if self.liveness is not None:
            self.liveness.got_through(sent, known=known)
            await self._look_for_dead(self.liveness.heartbeats)

    async def _write_heartbeat(self, db: AsyncConnection) -> bool:
        """
        Return whether the others knew of this process.
        """
        own = dispatchers.c.name == self._name
        beat = sa.update(dispatchers).where(own).values(heartbeat_time=database_now())
        known = (await db.execute(beat)).rowcount > 0
        if not known:
            row = {
                "name": self._name,
                "heartbeat_time": database_now(),
                "stops_when_silent": True,
            }
            await db.execute(sa.insert(dispatchers).values(row))
        self._has_beaten = True
        return known

    async def _look_for_dead(self, heartbeats: Heartbeats) -> None:
        now = time.monotonic()
        if heartbeats.may_take_over(now):
            async with reading(self._engine) as db:
                expected = self._clock.expected(now)
                self._dead = await takeover.dead_processes(db, self._name, expected)
        if self._dead:
            self.found_dead.set()

    async def take_over(self) -> None:
        """
        End the leases of processes that are known to be dead.
        """
        dead, self._dead = self._dead, ()
        for name in dead:
            expected = self._clock.expected(time.monotonic())
            ended = await takeover.take_over(self._engine, name, self._name, expected, self._lease)
            if ended is not None:
                log.warning("replicas.taken_over", process=name, count=ended)
                self._became_due()

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
        async with self._session.writing() as db:
            await db.execute(sa.delete(dispatchers).where(dispatchers.c.name == self._name))
        await self._session.close()

    async def _store(self, changes: Mapping[EndpointKey, OpenBreaker | None]) -> None:
        left = sorted(changes)
        try:
            while left:
                async with writing(self._engine) as db:
                    for key in left[:STORED_TOGETHER]:
                        await _replace(db, key, changes[key])
                del left[:STORED_TOGETHER]
        except BaseException:
            self._endpoints.put_back({key: changes[key] for key in left})
            raise

    async def _forget_old(self) -> None:
        stale = endpoint_states.c.open_until < after(-FORGET_AFTER)
        gone = dispatchers.c.heartbeat_time < after(-FORGET_AFTER)
        async with writing(self._engine) as db:
            await db.execute(sa.delete(dispatchers).where(gone))
            await db.execute(sa.delete(endpoint_states).where(stale))
        self._next_forgetting = time.monotonic() + FORGET_SECONDS


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

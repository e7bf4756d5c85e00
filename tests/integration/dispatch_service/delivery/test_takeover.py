"""
What dead processes held is taken over at once; only on PostgreSQL can there be another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.replicas import Liveness, Replicas
from dispatch_service.domain.work import Claimed, Lease
from dispatch_service.queue import takeover
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import attempts, deliveries, dispatchers
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after, database_now
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

LONG = timedelta(seconds=45)
HELD = Lease("held-1-a", LONG)
TRIES = 50


class Processes:
    """
    A process that holds leases, and another one that may take them over.
    """

    def __init__(self, store: AsyncEngine, queue: Queue) -> None:
        self.store, self.queue = store, queue
        self.due = 0
        self.holder = Replicas(store, Endpoints(8), HELD.owner)
        self.other = Replicas(store, Endpoints(8), "other-1-b", became_due=self._count)

    def _count(self) -> None:
        self.due += 1

    async def begin(self, count: int = 3) -> None:
        """
        Let both be alive, and one of them hold deliveries.
        """
        await self.holder.heartbeat()
        for number in range(count):
            delivery = new_delivery(leased=True)
            await self.queue.insert([new_event(delivery, event_id=f"event-{number}")], HELD)
        await self.other.heartbeat()

    async def silent_for(self, seconds: float) -> None:
        """
        Let the last heartbeat of the holder be so long ago.
        """
        mine = dispatchers.c.name == HELD.owner
        values = {"heartbeat_time": after(timedelta(seconds=-seconds))}
        async with writing(self.store) as db:
            await db.execute(sa.update(dispatchers).where(mine).values(values))

    async def found_dead(self) -> bool:
        """
        Let the other one look whether the holder is dead, and take over from it.
        """
        for _ in range(TRIES):
            await self.other.heartbeat()
            if self.other.found_dead.is_set():
                await self.other.take_over()
                return True
            known = self.other.liveness
            assert known is not None
            if known.heartbeats.may_take_over(asyncio.get_running_loop().time()):
                return False
        raise AssertionError("the machine is too slow for heartbeats")

    async def claim(self, limit: int = 100) -> list[Claimed]:
        """
        Claim what is due, for the other one.
        """
        return list(await self.queue.claim(LEASE, limit=limit, per_endpoint=100, full=()))


@pytest.fixture
async def processes(store: AsyncEngine, queue: Queue) -> AsyncIterator[Processes]:
    """
    Yield two processes; their sessions end at the end.
    """
    made = Processes(store, queue)
    await made.begin()
    yield made
    await made.holder.leave()
    await made.other.leave()


async def test_what_a_dead_process_held_is_claimed_in_order(
    processes: Processes, store: AsyncEngine
) -> None:
    """
    Five seconds after its last heartbeat, although its leases have not ended; each attempt that
    was cut off is in the log.
    """
    await processes.silent_for(5.5)
    assert await processes.claim() == []

    assert await processes.found_dead()

    claimed = [it for _ in range(3) for it in await processes.claim(1)]
    assert [it.event_id for it in claimed] == ["event-0", "event-1", "event-2"]
    assert {(it.number, it.interrupted) for it in claimed} == {(2, 1)}
    assert processes.due == 1
    async with reading(store) as db:
        assert set((await db.execute(sa.select(attempts.c.status))).scalars()) == {"INTERRUPTED"}


@pytest.mark.parametrize("seconds", [0.0, 2.0, 4.0])
async def test_process_that_is_silent_for_less_is_alive(
    processes: Processes, seconds: float
) -> None:
    """
    As long as it has the lock of its name.
    """
    await processes.silent_for(seconds)
    assert not await processes.found_dead()
    assert await processes.claim() == []


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, False), (2.0, False), (3.5, True)])
async def test_process_whose_session_has_ended_is_dead_earlier(
    processes: Processes, seconds: float, *, expected: bool
) -> None:
    """
    But not before it has noticed that its heartbeats do not get through.
    """
    await processes.holder._session.close()
    await processes.silent_for(seconds)
    assert await processes.found_dead() is expected


async def test_process_that_was_taken_for_dead_holds_nothing(processes: Processes) -> None:
    """
    It learns of it from its next heartbeat, and goes on with what it leases from then on.
    """
    loop = asyncio.get_running_loop()
    liveness = processes.holder.liveness
    assert liveness is not None
    held_until = loop.time() + LONG.total_seconds()
    assert await liveness.lease_left(held_until) > 0
    await processes.silent_for(6)
    assert await processes.found_dead()

    await processes.holder.heartbeat()

    assert await liveness.lease_left(held_until) == 0
    assert await liveness.lease_left(loop.time() + LONG.total_seconds() + 1) > 0


async def test_process_that_is_alive_after_all_is_not_taken_over(
    processes: Processes, store: AsyncEngine
) -> None:
    """
    Its heartbeat came between the look and the takeover.
    """
    taken = await takeover.take_over(store, HELD.owner, "other-1-b", None, LONG)
    assert taken is None
    async with reading(store) as db:
        leased = deliveries.c.due_time > database_now()
        count = sa.select(sa.func.count()).select_from(deliveries).where(leased)
        assert (await db.execute(count)).scalar_one() == 3
    assert processes.due == 0


async def test_process_of_an_earlier_version_is_left_alone(
    processes: Processes, store: AsyncEngine
) -> None:
    """
    It goes on without heartbeats, so what it holds is taken over when its leases have ended.
    """
    async with writing(store) as db:
        await db.execute(sa.delete(dispatchers).where(dispatchers.c.name == HELD.owner))
        row = {"name": HELD.owner, "heartbeat_time": after(timedelta(seconds=-60))}
        await db.execute(sa.insert(dispatchers).values(row))
    assert not await processes.found_dead()


async def test_step_of_the_clock_kills_nobody(processes: Processes, store: AsyncEngine) -> None:
    """
    A heartbeat is old only by the time that should have passed.
    """
    async with reading(store) as db:
        now = (await db.execute(sa.select(database_now()))).scalar_one()
        await processes.silent_for(60)
        before = now - timedelta(seconds=60)
        assert await takeover.dead_processes(db, "other-1-b", before) == []
        assert await takeover.dead_processes(db, "other-1-b", None) == [HELD.owner]


async def test_attempts_wait_for_a_heartbeat(processes: Processes) -> None:
    """
    Nothing begins before the first one, or after the last one for long; then all go on.
    """
    assert processes.other.liveness is not None
    liveness, loop = Liveness(45.0), asyncio.get_running_loop()
    lease_end = loop.time() + 1000
    waiting = [asyncio.create_task(liveness.lease_left(lease_end)) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(it.done() for it in waiting)

    liveness.got_through(loop.time(), known=True)

    assert all(left > 0 for left in await asyncio.gather(*waiting))

"""
Deliveries that kill the process, and those that are in it when it dies, on SQLite and on
PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.suspect_attempts import SuspectAttempts
from dispatch_service.domain.transitions import SUSPECT_INTERRUPTIONS, is_suspect
from dispatch_service.domain.work import Claimed
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import attempts, control_times, deliveries, suspect_attempts
from service_runtime.database.engine import reading, writing
from tests.support.delivery_process import PAST, DeliveryProcess, day_keys, sealed_event
from tests.support.dispatch_factories import LEASE, claimed

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

DEADLY = "deadly"
PATIENCE_SECONDS = 60


class Receiver:
    """
    Confirms all requests, but for those of deadly events the process dies.
    """

    def __init__(self) -> None:
        self.died = asyncio.Event()
        self.requests: Counter[str] = Counter()
        self.suspects_at_once = 0
        self._open_suspects = 0

    async def __call__(self, request: Claimed) -> int:
        self.requests[request.event_id] += 1
        if request.event_id == DEADLY:
            self.died.set()
            await asyncio.Event().wait()
        suspected = is_suspect(request.interrupted)
        self._open_suspects += suspected
        self.suspects_at_once = max(self.suspects_at_once, self._open_suspects)
        await asyncio.sleep(0.001)
        self._open_suspects -= suspected
        return 200


async def publish(store: AsyncEngine, queue: Queue, event_ids: Sequence[str]) -> None:
    """
    Store events with one delivery each, which waits in the table.
    """
    sealer = await day_keys(store).today()
    await queue.insert([sealed_event(sealer, event_id=it) for it in event_ids], LEASE)


async def read(store: AsyncEngine, query: sa.Select[Any]) -> list[Any]:
    """
    Read rows.
    """
    async with reading(store) as db:
        return list((await db.execute(query)).all())


async def ends(store: AsyncEngine) -> Counter[tuple[str, str | None]]:
    """
    Count the deliveries by their states and failure kinds.
    """
    columns = deliveries.c
    return Counter(
        tuple(row) for row in await read(store, sa.select(columns.state, columns.failure_kind))
    )


async def unfinished(store: AsyncEngine) -> int:
    """
    Count the deliveries that have not ended.
    """
    return len(await read(store, sa.select(deliveries).where(deliveries.c.end_time.is_(None))))


async def live(process: DeliveryProcess, receiver: Receiver) -> bool:
    """
    Let a process deliver until it dies or nothing is left; return whether it died.
    """
    receiver.died.clear()
    await process.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not receiver.died.is_set() and await unfinished(process.store):
            await asyncio.sleep(0.01)
    await process.kill()
    return receiver.died.is_set()


@pytest.mark.heavy
async def test_delivery_that_kills_is_poison_after_ten_deaths_and_no_other(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    After those that made it a suspect, ten processes die with it alone on the wire.
    """
    bystanders = [f"bystander-{number}" for number in range(12)]
    await publish(store, queue, [*bystanders[:6], DEADLY, *bystanders[6:]])
    receiver = Receiver()

    deaths = 0
    while await live(DeliveryProcess(store, queue, receiver, name=f"host-{deaths}-a"), receiver):
        deaths += 1
        assert deaths <= 14

    assert receiver.requests[DEADLY] == deaths
    assert 10 <= deaths <= 13
    assert await ends(store) == {("FAILED", "poison"): 1, ("SUCCEEDED", None): 12}
    assert receiver.suspects_at_once <= 1
    columns = attempts.c
    numbers = await read(store, sa.select(columns.delivery_id, columns.number))
    by_delivery = Counter(row.delivery_id for row in numbers)
    assert all(row.number <= by_delivery[row.delivery_id] for row in numbers)


@pytest.mark.heavy
async def test_deliveries_that_wait_while_processes_die_are_innocent(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A dozen processes die in their control time; then all is delivered, suspects one at a time.
    """
    await publish(store, queue, [f"waits-{number}" for number in range(30)])

    async def never(_request: Claimed) -> int:
        await asyncio.Event().wait()
        return 500

    for number in range(12):
        name = f"host-{number}-a"
        process = DeliveryProcess(store, queue, never, name=name, control_seconds=1)
        await process.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await fewest_claims(store) <= min(number, SUSPECT_INTERRUPTIONS):
                await asyncio.sleep(0.01)
        await process.kill()
        await make_due(store)
    receiver = Receiver()
    assert not await live(DeliveryProcess(store, queue, receiver, name="host-last-a"), receiver)

    assert await ends(store) == {("SUCCEEDED", None): 30}
    assert receiver.suspects_at_once == 1
    assert set(receiver.requests.values()) == {1}
    # The process may have been killed before it forgot the last.
    assert len(await read(store, sa.select(suspect_attempts))) <= 1
    assert await read(store, sa.select(control_times)) == []


async def test_one_more_crash_makes_suspects_only_of_what_is_on_the_wire(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    What was interrupted twice does not wait in memory under a lease.
    """
    await publish(store, queue, [f"waits-{number}" for number in range(30)])
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(interrupted=2))

    async def never(_request: Claimed) -> int:
        await asyncio.Event().wait()
        return 500

    process = DeliveryProcess(store, queue, never)
    await process.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await fewest_claims(store) == 0 or process.results.waiting:
            await asyncio.sleep(0.01)
    leased = sa.select(deliveries.c.delivery_id).where(deliveries.c.lease_owner.is_not(None))
    held = len(await read(store, leased))
    await process.kill()

    assert 1 <= held <= 8


async def fewest_claims(store: AsyncEngine) -> int:
    """
    Return how often every delivery was claimed at least.
    """
    ((count,),) = await read(store, sa.select(sa.func.min(deliveries.c.lease_token)))
    return int(count)


async def make_due(store: AsyncEngine) -> None:
    """
    Let the delays of all that was released pass.
    """
    waits = deliveries.c.due_time.is_not(None)
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).where(waits).values(due_time=PAST))


def attempted(number: int, delivery_id: str = "0" * 31 + "1") -> Claimed:
    """
    Make a suspect's attempt in a long row of interruptions.
    """
    return claimed(delivery_id=delivery_id, number=number, interrupted=number - 1)


async def test_death_in_the_control_time_clears_the_last_suspect(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    It was not the cause; others keep what counts against them.
    """
    other = "0" * 31 + "2"
    first = SuspectAttempts(store, "host-1-a")
    await first.begin(attempted(4, other))
    await first.begin(attempted(5))
    await first.begin(attempted(6))
    await SuspectAttempts(store, "host-2-a").begin_control()

    deaths = await SuspectAttempts(store, "host-3-a").deaths([attempted(9), attempted(9, other)])

    assert deaths.counts == [0, 1]
    assert deaths.final
    assert await read(store, sa.select(control_times)) == []


async def test_survived_control_time_clears_nobody(queue: Queue, store: AsyncEngine) -> None:
    """
    A process that dies later may have died of its suspect.
    """
    first, second = SuspectAttempts(store, "host-1-a"), SuspectAttempts(store, "host-2-a")
    await first.begin(attempted(5))
    await second.begin_control()
    await second.end_control()

    deaths = await SuspectAttempts(store, "host-3-a").deaths([attempted(9)])

    assert deaths.counts == [1]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_nothing_is_final_while_another_process_may_die_in_its_control_time(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    Of a process that still beats it is not known; its own attempts count against nobody.
    """
    other = DeliveryProcess(store, queue, Receiver(), name="host-2-a")
    await other.replicas.sync()
    await SuspectAttempts(store, "host-2-a").begin_control()

    deaths = await SuspectAttempts(store, "host-3-a").deaths([attempted(9)])

    assert not deaths.final


async def test_attempt_that_ends_well_counts_for_nothing(queue: Queue, store: AsyncEngine) -> None:
    """
    Neither one that has a result nor one that the process gave up as it stopped.
    """
    it = SuspectAttempts(store, "host-1-a")
    await it.begin(attempted(5))
    await it.begin(attempted(6))
    await it.begin(attempted(6))

    await it.end(attempted(6))
    assert (await it.deaths([attempted(9)])).counts == [1]

    await it.forget(attempted(7))
    assert (await it.deaths([attempted(9)])).counts == [0]


async def test_suspect_is_not_sent_before_it_is_stored(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where the store does not take it, the lease is released.
    """
    await publish(store, queue, ["suspected"])
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).values(interrupted=3))
    receiver, refused = Receiver(), asyncio.Event()

    async def refuse(_self: SuspectAttempts, _claimed: Claimed) -> None:
        refused.set()
        raise ConnectionRefusedError

    monkeypatch.setattr(SuspectAttempts, "begin", refuse)
    process = DeliveryProcess(store, queue, receiver)
    await process.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await refused.wait()
        while (await ends(store))["PENDING", None] == 0:
            await asyncio.sleep(0.01)
    await process.kill()

    assert not receiver.requests
    assert await read(store, sa.select(attempts)) == []

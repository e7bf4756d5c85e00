"""
The outbox on both databases, with relays that are killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from service_runtime.rpc.errors import FieldFault, InvalidArgument
from shipedge.webhooks import outbox
from shipedge.webhooks.client.async_publisher import AsyncPublisher
from shipedge.webhooks.client.publisher import Publisher
from shipedge.webhooks.events.v1 import event_pb2
from shipedge.webhooks.outbox.table import events
from tests.integration.shipedge.test_publisher import ScriptedService, serving, shipped

pytestmark = pytest.mark.anyio

ORDERS = 5
KILLS = 3

RELAY = """
import asyncio, sys
from sqlalchemy.ext.asyncio import create_async_engine
from shipedge.webhooks.client.async_publisher import AsyncPublisher
from shipedge.webhooks.client.event_queue import BatchLimits
from shipedge.webhooks.client.publisher import Publisher
from shipedge.webhooks.outbox import OutboxRelay, relay
relay.BATCH_EVENTS, relay.LEASE_SECONDS = 7, 0.3
publisher = AsyncPublisher(Publisher(sys.argv[2], limits=BatchLimits(events=3)))
engine = create_async_engine(sys.argv[1])
print("relaying", flush=True)
asyncio.run(OutboxRelay(engine, publisher, poll_seconds=0.01).run())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """
    Yield an engine whose database has the tables of the outbox.
    """
    if request.param == "sqlite":
        url = sa.make_url(f"sqlite+aiosqlite:///{tmp_path / 'oms.db'}")
    else:
        given = sa.make_url(request.getfixturevalue("postgres_url"))
        url = given.set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url)
    async with engine.begin() as db:
        await db.run_sync(outbox.metadata.create_all)
    yield engine
    async with engine.begin() as db:
        await db.run_sync(outbox.metadata.drop_all)
    await engine.dispose()


async def commit(engine: AsyncEngine, *added: event_pb2.Event) -> None:
    """
    Add events in a transaction that is committed.
    """
    async with AsyncSession(engine) as session, session.begin():
        for event in added:
            outbox.add(session, event)


async def waiting(engine: AsyncEngine) -> int:
    """
    Return how many events are in the outbox.
    """
    async with engine.connect() as db:
        return int((await db.execute(sa.select(sa.func.count()).select_from(events))).scalar_one())


async def test_only_what_is_committed_is_published(engine: AsyncEngine) -> None:
    """
    What was rolled back is never sent; what is refused stays with its error and stops no other.
    """
    service = ScriptedService()
    bad = InvalidArgument("bad", faults=[FieldFault("x", "must be y")], reason="EVENT_INVALID")
    service.refusal = lambda event: bad if event.event_id == "e-2" else None
    await commit(engine, shipped("e-1"), shipped("e-2"), shipped("e-3"))
    async with AsyncSession(engine) as session:
        outbox.add(session, shipped("e-4"))
        await session.flush()
        await session.rollback()

    with serving(service) as address:
        async with AsyncPublisher(Publisher(address)) as publisher:
            relay = outbox.OutboxRelay(engine, publisher)
            assert [await relay.run_once(), await relay.run_once()] == [3, 0]

    assert service.accepted == ["e-1", "e-3"]
    async with engine.connect() as db:
        (left,) = (await db.execute(sa.select(events.c.event_id, events.c.error))).all()
    assert left.event_id == "e-2"
    assert "x: must be y" in left.error


@pytest.mark.heavy
async def test_killed_relays_lose_nothing(engine: AsyncEngine) -> None:
    """
    Two relays at once, killed again and again while transactions commit and roll back: each
    committed event is accepted, the first time in the order of its resource, and no other one.
    """
    service = ScriptedService()
    committed: list[event_pb2.Event] = []
    with serving(service) as address:
        for _ in range(KILLS):
            relays = [await start_relay(engine, address) for _ in range(2)]
            try:
                await work(engine, committed)
            finally:
                for relay in relays:
                    relay.kill()
                    await relay.wait()
        last = await start_relay(engine, address)
        try:
            async with asyncio.timeout(60):
                while await waiting(engine):
                    await asyncio.sleep(0.05)
        finally:
            last.kill()
            await last.wait()

    assert set(service.accepted) == {event.event_id for event in committed}
    for order in range(1, ORDERS + 1):
        wanted = [it.event_id for it in committed if it.order_status_changed.order.id == order]
        mine = dict.fromkeys(it for it in service.accepted if it.startswith(f"o{order}-"))
        assert list(mine) == wanted


async def start_relay(engine: AsyncEngine, address: str) -> asyncio.subprocess.Process:
    """
    Start a relay as a process of its own.
    """
    url = engine.url.render_as_string(hide_password=False)
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RELAY, url, address, stdout=asyncio.subprocess.PIPE
    )
    assert relay.stdout is not None
    await relay.stdout.readline()
    return relay


async def work(engine: AsyncEngine, committed: list[event_pb2.Event]) -> None:
    """
    Commit 30 transactions, and roll back every fourth.
    """
    for number in range(30):
        order = 1 + number % ORDERS
        event = shipped(f"o{order}-{len(committed)}", order=order)
        if number % 4 == 3:
            async with AsyncSession(engine) as session:
                outbox.add(session, shipped(f"rolled-back-{len(committed)}", order=order))
                await session.flush()
        else:
            await commit(engine, event)
            committed.append(event)
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (event_pb2.Event(account_id=1), "^event_id: must be set"),
        (event_pb2.Event(event_id="e", channel="x" * 300_000), "^event: must be 262144 bytes"),
    ],
)
def test_events_that_cannot_be_published(event: event_pb2.Event, message: str) -> None:
    """
    They are refused where the caller sees it.
    """
    with pytest.raises(ValueError, match=message):
        outbox.add(Session(), event)

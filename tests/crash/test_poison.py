"""
One delivery kills the service at each attempt; many others only wait when it dies.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import create_engine, reading
from tests.crash.conftest import Stage
from tests.crash.ledger import Ledger, compare
from tests.crash.stage import Publisher, Replica, read_log, shipped, unfinished
from tests.support.templates import migrated_database

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(240)]

ACCOUNT = 100
DEADLY = "deadly"
BYSTANDERS = 20
ENDS = ("SUCCEEDED", "FAILED")
LEAST_DEATHS, MOST_DEATHS = 10, 13


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """
    Yield a migrated SQLite database: what a crash interrupts goes on at once there.
    """
    request.param = "sqlite"
    with migrated_database(request, tmp_path, "dispatch_service") as url:
        yield url


async def ends(database_url: str) -> Counter[tuple[str, str | None]]:
    """
    Count the deliveries by their states and failure kinds.
    """
    columns = deliveries.c
    engine = create_engine(database_url, application_name="tests")
    try:
        async with reading(engine) as db:
            rows = await db.execute(sa.select(columns.state, columns.failure_kind))
            return Counter((row.state, row.failure_kind) for row in rows)
    finally:
        await engine.dispose()


async def died(replica: Replica, publishing: asyncio.Future[None], database_url: str) -> bool:
    """
    Wait until the service has died, or all that is published has ended; tell which.
    """
    async with asyncio.timeout(60):
        while True:
            assert replica.child is not None
            if replica.child.returncode is not None:
                return True
            if publishing.done() and not await unfinished(database_url, ENDS):
                return False
            await asyncio.sleep(0.1)


async def test_only_the_delivery_that_kills_is_poison(stage: Stage, database_url: str) -> None:
    """
    It is FAILED after ten deaths with it alone on the wire; all others are delivered.
    """
    owner = f"accounts/{ACCOUNT}"
    await stage.config.subscribe(stage.receiver.url, "orders/shipped", "v2", owner)
    replica = stage.replica(database_url, SHIPEDGE_DISPATCH_CONTROL_TIME="100ms")
    publisher = Publisher([replica.address])
    made = [shipped(f"bystander-{number}", ACCOUNT) for number in range(BYSTANDERS)]
    made.insert(BYSTANDERS // 2, shipped(DEADLY, ACCOUNT))
    failpoint = f"attempt.before_send:kill:@{DEADLY}"

    deaths = 0
    await replica.start(failpoint)
    publishing = asyncio.ensure_future(publisher.publish(made))
    while await died(replica, publishing, database_url):
        deaths += 1
        assert deaths <= MOST_DEATHS
        await replica.start(failpoint)
    await publishing

    assert deaths >= LEAST_DEATHS
    assert await ends(database_url) == {("FAILED", "poison"): 1, ("SUCCEEDED", None): BYSTANDERS}
    ledger = Ledger(publisher.acknowledged - {DEADLY})
    ledger.requests = list(stage.memory.requests)
    await read_log(database_url, ledger)
    result = compare(ledger)
    assert result.good, result

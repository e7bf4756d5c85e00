"""
The crash tests detect faults: a service or a statement with a fault must fail them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import Transition, retry, succeed
from dispatch_service.domain.work import Claimed, Lease, NewEvent, Settlement
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.postgresql import statements as sql
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import create_engine, writing
from service_runtime.database.instants import after
from tests.crash.conftest import Stage
from tests.crash.ledger import Ledger, Request, compare
from tests.crash.stage import Publisher, all_delivered, read_log, shipped
from tests.support.dispatch_factories import attempt, new_delivery, new_event
from tests.support.templates import PostgresTemplates

pytestmark = pytest.mark.anyio

FIRST, SECOND = (Lease(name, timedelta(seconds=45)) for name in ("first", "second"))


async def test_acknowledging_before_the_commit_loses_events(stage: Stage, tmp_path: Path) -> None:
    """
    A service that acknowledges before its commit and dies loses the event, and it is detected.
    """
    url = f"sqlite:///{tmp_path}/hasty.db"
    replica = stage.replica(url)
    replica.module = "tests.crash.unsafe_acknowledge"
    await stage.config.subscribe(stage.receiver.url, "orders/shipped", "v2")
    publisher = Publisher([replica.address])
    await replica.start("publish.before_commit:kill")

    publishing = asyncio.create_task(publisher.publish([shipped("lost", 100)]))
    await replica.died()
    await replica.start()
    await publishing

    await all_delivered(url, 30)
    ledger = Ledger(publisher.acknowledged, list(stage.memory.requests))
    await read_log(url, ledger)
    assert compare(ledger).lost == {"lost"}


@dataclass
class LeaseRace:
    """
    Two processes with one delivery: the second claims it after the lease of the first has ended.
    """

    engine: AsyncEngine
    queue: PostgresQueue
    event: NewEvent
    requests: list[Request]

    async def claim(self, lease: Lease) -> Claimed:
        """
        Claim the delivery under *lease*.
        """
        (claimed,) = await self.queue.claim(lease, limit=1, per_endpoint=1, full=())
        return claimed

    def confirmed(self, claimed: Claimed) -> None:
        """
        Record that the receiver confirmed an attempt.
        """
        key = f"dlv_{claimed.delivery_id}"
        self.requests.append(Request(claimed.event_id, key, claimed.number, confirmed=True))

    async def settle(self, claimed: Claimed, transition: Transition, **over: Any) -> None:
        """
        Write the result that a process has.
        """
        await self.queue.settle([Settlement(claimed, transition, attempt(claimed, **over))])

    async def end_lease(self) -> None:
        """
        End the lease.
        """
        async with writing(self.engine) as db:
            past = {"due_time": after(timedelta(seconds=-1))}
            await db.execute(sa.update(deliveries).values(past))

    async def run(self) -> None:
        """
        Write the late result of the first process between attempt and result of the second.

        Then deliver what is due.
        """
        late = await self.claim(FIRST)
        self.confirmed(late)
        await self.end_lease()
        present = await self.claim(SECOND)
        self.confirmed(present)
        failed = {"status": "FAILURE", "failure_kind": "timeout", "response_code": None}
        await self.settle(late, retry(1, timedelta(), FailureKind.TIMEOUT), **failed)
        due = await self.queue.claim(FIRST, limit=1, per_endpoint=1, full=())
        for claimed in due:
            self.confirmed(claimed)
        for claimed in (present, *due):
            await self.settle(claimed, succeed(0))


@pytest.fixture
def migrated_url(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """
    Yield the URL of a migrated dispatch database on PostgreSQL.
    """
    with postgres_templates.copy("dispatch_service") as url:
        yield url


@pytest.fixture
async def race(migrated_url: str) -> AsyncIterator[LeaseRace]:
    """
    Yield a race on PostgreSQL, for one delivery that is due.
    """
    engine = create_engine(migrated_url, application_name="tests")
    event = new_event(new_delivery())
    queue = PostgresQueue(engine)
    await queue.insert([event], FIRST)
    yield LeaseRace(engine, queue, event, [])
    await queue.close()
    await engine.dispose()


async def compared(race: LeaseRace, url: str) -> Any:
    ledger = Ledger({race.event.event_id}, race.requests)
    await read_log(url, ledger)
    return compare(ledger)


async def test_late_result_changes_nothing(race: LeaseRace, migrated_url: str) -> None:
    """
    With the lease token, a late result changes nothing: one duplicate, and it is allowed.
    """
    await race.run()

    result = await compared(race, migrated_url)

    assert result.good
    assert (result.duplicates, result.bound) == (1, 1)


async def test_settling_without_the_token_is_detected(
    race: LeaseRace, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Without the lease token, a late result makes the delivery due again: one duplicate too many.
    """
    correct = str(sql.SETTLE)
    faulty = correct.replace("AND d.lease_token = s.lease_token AND d.lease_owner IS NOT NULL", "")
    logged = "JOIN ended e USING (owner, delivery_id)"
    faulty = faulty.replace(logged, f"{logged} ON CONFLICT DO NOTHING")
    assert faulty != correct
    monkeypatch.setattr(sql, "SETTLE", sa.text(faulty))

    await race.run()

    result = await compared(race, migrated_url)
    assert not result.good
    assert result.duplicates > result.bound

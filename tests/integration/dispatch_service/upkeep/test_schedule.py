"""
Housekeeping goes on past what fails, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import bodies, events
from dispatch_service.upkeep import erasure
from dispatch_service.upkeep.prune_statements import Retention
from dispatch_service.upkeep.schedule import Maintenance
from service_runtime.database.engine import reading, writing
from service_runtime.process import failpoints
from tests.integration.dispatch_service.upkeep.test_erasure import about, erase
from tests.integration.dispatch_service.upkeep.test_retention import counts, grow_older, settle
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

REFUSE = {
    "sqlite": [
        (
            "CREATE TRIGGER refuse BEFORE DELETE ON bodies WHEN OLD.owner = 'accounts/100'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    ],
    "postgresql": [
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$"
        ),
        (
            "CREATE TRIGGER refuse BEFORE DELETE ON bodies FOR EACH ROW"
            " WHEN (OLD.owner = 'accounts/100') EXECUTE FUNCTION refuse()"
        ),
    ],
}


@pytest.fixture
def disarmed() -> Iterator[None]:
    """
    Take back at the end what a test has armed.
    """
    yield
    failpoints.arm("")


async def refuse_deletions(store: AsyncEngine) -> None:
    """
    Let the database refuse to delete bodies of account 100.
    """
    async with writing(store) as db:
        for statement in REFUSE[store.dialect.name]:
            await db.execute(sa.text(statement))


async def owners_of_bodies(store: AsyncEngine) -> list[str]:
    """
    Return whose bodies are left.
    """
    async with reading(store) as db:
        return list((await db.execute(sa.select(bodies.c.owner))).scalars())


async def run_steps(store: AsyncEngine) -> dict[str, float]:
    """
    Run all steps once; return the seconds after which each runs again.
    """
    steps = Maintenance(store, SubscriptionIndex(), Retention()).steps()
    for step in steps.values():
        await step.run_once()
    return {name: step.pause_seconds() for name, step in steps.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("disarmed")
async def test_step_that_fails_stops_no_other(queue: Queue, store: AsyncEngine) -> None:
    """
    An erasure that fails is logged, and what is old is deleted all the same.
    """
    await settle(queue, new_event(new_delivery(leased=True)))
    await grow_older(store, timedelta(days=91))
    await queue.insert([about(7, leased=True)], LEASE)
    assert (await erase(store, events.c.order_id == 7)).waiting == 1
    failpoints.arm("erase.inflight:raise")

    with capture_logs() as logs:
        await run_steps(store)

    failed = [line for line in logs if line["event"] == "maintenance.failed"]
    assert [(it["kind"], it["error_type"]) for it in failed] == [("erasure", "FailpointError")]
    left = await counts(store)
    assert (left["events"], left["deliveries"], left["attempts"]) == (1, 1, 0)


@pytest.mark.slow
async def test_owner_that_fails_stops_no_other(queue: Queue, store: AsyncEngine) -> None:
    """
    Rows of one owner that cannot be deleted keep neither those of others nor other tables.
    """
    theirs = new_event(new_delivery(leased=True, owner="accounts/200"), account=200)
    await settle(queue, new_event(new_delivery(leased=True)), theirs)
    await grow_older(store, timedelta(days=91))
    await refuse_deletions(store)

    with capture_logs() as logs:
        await run_steps(store)

    failed = [line for line in logs if line["event"] == "maintenance.failed"]
    assert [(it["kind"], it["owner"]) for it in failed] == [("body", "accounts/100")]
    assert await owners_of_bodies(store) == ["accounts/100"]
    left = await counts(store)
    assert (left["deliveries"], left["attempts"], left["events"]) == (0, 0, 0)


@pytest.mark.slow
async def test_step_that_fails_runs_again_sooner(queue: Queue, store: AsyncEngine) -> None:
    """
    Each step has its own pace; one that has failed does not wait for its whole hour.
    """
    good = await run_steps(store)
    await settle(queue, new_event(new_delivery(leased=True)))
    await grow_older(store, timedelta(days=91))
    await refuse_deletions(store)

    failed = await run_steps(store)

    assert good == {"erasures": 30, "sequence repair": 3600, "pruning": 3600}
    assert failed == good | {"pruning": 300}


async def test_erasures_that_fail_do_not_hide_others(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Erasures are finished past those that fail, however many these are.
    """
    monkeypatch.setattr(erasure, "BATCH", 2)
    waiting = [about(number, leased=True) for number in range(1, 6)]
    await queue.insert(waiting, LEASE)
    for number in range(1, 6):
        assert (await erase(store, events.c.order_id == number)).waiting == 1
    last = max(waiting, key=lambda event: event.event_id)
    delivery = claimed_of(last)
    await queue.settle([Settlement(delivery, succeed(0), attempt(delivery))])

    erased = await Maintenance(store, SubscriptionIndex(), Retention()).finish_erasures()

    assert erased == 1

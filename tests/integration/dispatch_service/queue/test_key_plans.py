"""
SQLite goes to rows by an index that ends at them, however much an owner has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.feed import snapshot
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.health import rows
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import events, metadata
from dispatch_service.upkeep import erasure, prune_statements
from dispatch_service.upkeep.prune_statements import Cutoff
from service_runtime.database.engine import sqlite_file, writing
from service_runtime.keys.keyring import KeyRing
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event
from tests.support.lock_waits import record_and_apply

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

RING = KeyRing({"test": b"k" * 32}, b"h" * 32)
EVERYTHING = Cutoff(timedelta(days=-1))
GROWING = ("deliveries", "attempts", "bodies", "events", "sequences")
"""
The tables that may have a million rows of one owner.
"""

Asked = list[tuple[str, Any]]


@contextmanager
def asked_of(store: AsyncEngine) -> Iterator[Asked]:
    """
    Gather the statements that the store is asked, with their parameters.
    """
    asked: Asked = []

    def note(_db: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        asked.append((text, values[0] if many else values))

    sa.event.listen(store.sync_engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(store.sync_engine, "before_cursor_execute", note)


def walks(url: str, asked: Asked) -> list[str]:
    """
    Return the steps of plans that walk a whole table, or all of it that an owner has.
    """
    path = sqlite_file(url)
    assert path is not None
    found = []
    with sqlite3.connect(path) as db:
        for text, values in asked:
            if text.split()[0] in {"SELECT", "UPDATE", "DELETE", "WITH"}:
                plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", values)]
                found += [f"{step}: {text}" for step in plan if _is_walk(step)]
    return found


def _is_walk(step: str) -> bool:
    table = step.split()[1] if len(step.split()) > 1 else ""
    return table in GROWING and (step.startswith("SCAN") or step.endswith("(owner=?)"))


def ordered(resource: str) -> NewEvent:
    """
    Make an event with one ordered delivery that is being attempted.
    """
    return new_event(new_delivery(ordered=True, leased=True), resource=resource)


def results(made: Sequence[NewEvent]) -> list[Settlement]:
    """
    Make the results of their attempts.
    """
    return [
        Settlement(claimed, succeed(0), attempt(claimed), 200) for claimed in map(claimed_of, made)
    ]


async def test_results_in_sequences(queue: Queue, store: AsyncEngine, database_url: str) -> None:
    """
    Settling the heads of sequences and unblocking the next deliveries.
    """
    made = [ordered(f"orders/{n}") for n in range(3)]
    with asked_of(store) as asked:
        await queue.insert([*made, new_event(new_delivery(ordered=True))], LEASE)
        await queue.settle(results(made))

    assert any("FROM sequences" in text for text, _ in asked)
    assert walks(database_url, asked) == []


async def test_changes_of_subscriptions(
    queue: Queue, store: AsyncEngine, database_url: str
) -> None:
    """
    Applying a change of a subscription costs what waits for it, not what its owner has.
    """
    await queue.insert([ordered("orders/1"), new_event(new_delivery())], LEASE)
    names = [f"accounts/100/subscriptions/{it}" for it in ("shipped", "other")]
    changes = [feed_service_pb2.FeedChange(revision=1, deleted_name=it) for it in names]
    with asked_of(store) as asked:
        async with writing(store) as db:
            await snapshot.store_changes(db, changes, RING, lambda url: url)
        for action in BacklogAction:
            await record_and_apply(
                store,
                BacklogUpdate("accounts/100", "shipped", 2, action, "elsewhere", ordered=False),
            )

    assert walks(database_url, asked) == []


async def test_what_is_taken_away(queue: Queue, store: AsyncEngine, database_url: str) -> None:
    """
    To take rows away that were chosen, and what belongs to them.
    """
    made = [new_event(new_delivery(leased=True), warehouses=["w1"]) for _ in range(3)]
    await queue.insert(made, LEASE)
    await queue.settle(results(made))
    with asked_of(store) as asked:
        await erasure.erase_all(store, 100, events.c.event_id == made[0].event_id, "somebody")
        async with writing(store) as db:
            await rows.write(db, {("accounts/100", "shipped"): None}, {})
            await prune_statements.prune_bodies(db, "accounts/100", EVERYTHING)
            await prune_statements.prune_payloads(db, 100, EVERYTHING)
            await prune_statements.prune_attempts(db, "accounts/100", EVERYTHING)
            await prune_statements.prune_deliveries(db, "accounts/100", EVERYTHING)
            await prune_statements.prune_events(db, 100, EVERYTHING)

    assert walks(database_url, asked) == []
    async with store.connect() as db:
        for name in ("deliveries", "attempts", "bodies", "events"):
            count = sa.select(sa.func.count()).select_from(metadata.tables[name])
            assert (await db.execute(count)).scalar_one() == 0, name

"""
How PostgreSQL answers the questions of the log: by an index, whatever is asked for.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.log import across, events, read
from dispatch_service.log.event_filters import parse_event_filter
from dispatch_service.log.filters import parse_attempt_filter, parse_delivery_filter
from dispatch_service.queue.protocol import Queue
from service_runtime.database.engine import reading
from service_runtime.rpc.callers import EVERY_OWNER
from tests.bench.log_scenarios import FILTERS, fill_log
from tests.integration.dispatch_service.log.test_read import settled
from tests.support.dispatch_factories import new_delivery, new_event

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

ROWS = 20_000
OWNER = "accounts/100"
TIMES = {"hour_ago": "2020-01-01T00:00:00Z", "now": "2099-01-01T00:00:00Z"}
ATTEMPTS = {
    "status": "ix_attempts_failures",
    "subscription": "ix_attempts_owner_subscription_start_time",
    "resource": "ix_deliveries_resource",
    "event": "uq_deliveries_owner_account_event_id_subscription",
    "response_code": "ix_attempts_failures",
    "failure_kind": "ix_attempts_failures",
    "latency": "ix_attempts_slow",
}
DELIVERIES = {
    "resource": "ix_deliveries_resource",
    "event": "uq_deliveries_owner_account_event_id_subscription",
}


class Recorded:
    """
    Stands before a connection and keeps what was asked.
    """

    def __init__(self, db: Any) -> None:
        self._db = db
        self.dialect = db.dialect
        self.queries: list[sa.Select[Any]] = []

    async def execute(self, query: sa.Select[Any]) -> Any:
        """
        Keep a query and run it.
        """
        self.queries.append(query)
        return await self._db.execute(query)

    async def plans(self) -> list[str]:
        """
        Explain what was asked.
        """
        compiled = [
            str(
                query.compile(
                    dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
                    compile_kwargs={"literal_binds": True},
                )
            )
            for query in self.queries
        ]
        # A log of a test is so small that reading all of query would be the quickest way.
        await self._db.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = [await self._db.exec_driver_sql(f"EXPLAIN {query}") for query in compiled]
        return ["\n".join(row[0] for row in query) for query in rows]


@pytest.fixture
async def large(store: AsyncEngine, queue: Queue) -> AsyncEngine:
    """
    Return a PostgreSQL store with a log that is worth an index.
    """
    await settled(queue, new_event(new_delivery(leased=True)))
    await fill_log(store.url.set(drivername="postgresql").render_as_string(False), ROWS)
    return store


def hashed(_url: str) -> bytes:
    """
    Return the hash of the URL that the filled log has rarely.
    """
    return b"rare"


async def test_each_filter_of_attempts_is_answered_by_an_index(large: AsyncEngine) -> None:
    """
    Every filter of ListAttempts has the index that fits it best.
    """
    for name, where in FILTERS.items():
        async with reading(large) as db:
            recorded = Recorded(db)
            page = await read.list_attempts(
                recorded,  # type: ignore[arg-type]
                OWNER,
                "",
                parse_attempt_filter(where.format(**TIMES).replace("500000", "10000")),
                hashed=hashed,
                size=50,
                begin_after=None,
            )
            plans = await recorded.plans()
        assert page.rows, name
        assert all(ATTEMPTS.get(name, "ndex") in plan for plan in plans), f"{name}: {plans}"
        assert not any("Seq Scan" in plan or "SubPlan" in plan for plan in plans), plans


async def test_each_filter_of_deliveries_is_answered_by_an_index(large: AsyncEngine) -> None:
    """
    Every filter of ListDeliveries has the index that fits it best.
    """
    for name, index in DELIVERIES.items():
        async with reading(large) as db:
            recorded = Recorded(db)
            page = await read.list_deliveries(
                recorded,  # type: ignore[arg-type]
                OWNER,
                parse_delivery_filter(FILTERS[name].replace("500000", "10000")),
                hashed=hashed,
                size=50,
                begin_after=None,
            )
            plans = await recorded.plans()
        assert page.rows, name
        assert all(index in plan for plan in plans), f"{name}: {plans}"


async def test_lists_across_owners_are_answered_by_an_index(large: AsyncEngine) -> None:
    """
    Failures of all accounts are found by walks over the index of failures, never by reading all.
    """
    asked: dict[str, Any] = {"hashed": hashed, "size": 50, "begin_after": None}
    failed = parse_attempt_filter('status != SUCCESS AND start_time >= "2020-01-01T00:00:00Z"')
    async with reading(large) as db:
        recorded: Any = Recorded(db)
        page = await across.list_attempts(recorded, "accounts/-", failed, **asked)
        plans = await recorded.plans()
        assert page.rows
        assert all("ix_attempts_failures" in plan for plan in plans), plans
        assert not any("Seq Scan" in plan for plan in plans), plans
        for state, index in ("FAILED", "ix_deliveries_failed"), ("PENDING", "ix_deliveries_"):
            recorded = Recorded(db)
            comparisons = parse_delivery_filter(f"state = {state}")
            await across.list_deliveries(recorded, "accounts/-", comparisons, **asked)
            plans = await recorded.plans()
            assert all(index in plan for plan in plans), f"{state}: {plans}"
            assert not any("Seq Scan on deliveries" in plan for plan in plans), plans


@pytest.mark.parametrize(
    ("parent", "source", "index"),
    [
        (OWNER, "order_number = SO-7", "ix_events_order_number"),
        ("accounts/-", "order_number = SO-7", "ix_events_order_number"),
        (OWNER, "resource = orders/7", "ix_events_order"),
        (OWNER, "has_deliveries = false", "ix_events_account_accept_time"),
        ("accounts/-", 'accept_time >= "2020-01-01"', "ix_event_keys_accept_time"),
    ],
)
async def test_lists_of_events_are_answered_by_an_index(
    store: AsyncEngine, parent: str, source: str, index: str
) -> None:
    """
    Events are found by their order, or by the time of their acceptance.
    """
    async with reading(store) as db:
        recorded = Recorded(db)
        await events.list_events(
            recorded,  # type: ignore[arg-type]
            parent,
            parse_event_filter(source),
            hashed=lambda _purpose, _value: b"a hash",
            owners=EVERY_OWNER,
            size=50,
            begin_after=None,
        )
        plans = await recorded.plans()

    assert all(index in plan for plan in plans)

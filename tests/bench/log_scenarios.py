"""
A log of a million attempts: the latency of the first page for each filter, and the throughput of
deliveries beside it. Also the cost of matching among 100 and 100,000 subscriptions.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import asyncpg

from dispatch_service.payloads import example_event
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import match
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2
from tests.bench.deployment import Deployment, running_deployment
from tests.bench.scenarios import WIDE, Figures, Scale
from tests.support.dispatch_factories import subscription

ROWS = 1_000_000
CALLS = 7

FILTERS = {
    "all": "",
    "date_range": 'start_time >= "{hour_ago}" AND start_time < "{now}"',
    "event_type": 'event_type = "orders/canceled"',
    "status": "status = STATUS_FAILURE",
    "url": 'url = "https://127.0.0.1/rare"',
    "subscription": 'subscription = "accounts/100/subscriptions/rare"',
    "resource": 'resource = "orders/500000"',
    "event": 'event = "accounts/100/events/old-500000"',
    "response_code": "response_code = 503",
    "failure_kind": "failure_kind = FAILURE_KIND_TIMEOUT",
    "latency": "duration_ms >= 5000",
}
"""
The filters; each finds few attempts, except the first three.
"""


async def fill_log(url: str, rows: int, first: int = 1) -> None:
    """
    Copy a delivery and its attempt as numbers *first* to *rows*, spread over six days.

    One attempt in a hundred has failed; one in a thousand has each rare value.
    """
    db = await asyncpg.connect(url, timeout=10)
    try:
        for table in ("deliveries", "attempts"):
            await db.execute(await _fill(db, table, rows, first), timeout=300)
        await db.execute("ANALYZE", timeout=300)
    finally:
        await db.close()


async def _fill(db: asyncpg.Connection, table: str, rows: int, first: int) -> str:
    """
    Build the statement that copies a row of *table*, with the columns that differ between rows.
    """
    found = await db.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
        " ORDER BY ordinal_position",
        table,
    )
    time_of_row = f"now() - n * interval '{86_400 * 6 / rows} second'"
    rare = "n % 1000 = 7"
    failed = "n % 100 = 3"
    varying = {
        "delivery_id": "md5('d' || n)::uuid",
        "event_id": "'old-' || n",
        "resource": "'orders/' || n",
        "create_time": time_of_row,
        "start_time": time_of_row,
        "settle_time": time_of_row,
        "event_type": f"CASE WHEN {rare} THEN 'orders/canceled' ELSE t.event_type END",
        "subscription": f"CASE WHEN {rare} THEN 'rare' ELSE t.subscription END",
        "url_hash": f"CASE WHEN {rare} THEN 'rare'::bytea ELSE t.url_hash END",
        "url_shown": f"CASE WHEN {rare} THEN 'https://127.0.0.1/rare' ELSE t.url_shown END",
        "duration_us": f"CASE WHEN {rare} THEN 6000000 ELSE t.duration_us END",
    }
    if table == "attempts":
        varying |= {
            "status": f"CASE WHEN {failed} THEN 'FAILURE' ELSE 'SUCCESS' END",
            "failure_kind": f"CASE WHEN NOT {failed} THEN NULL WHEN n % 1000 = 3"
            " THEN 'timeout' ELSE 'http_status' END",
            "response_code": f"CASE WHEN {failed} THEN 503 ELSE 200 END",
        }
    names = [str(it["column_name"]) for it in found]
    values = ", ".join(varying.get(name, f"t.{name}") for name in names)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values}"  # noqa: S608 - our own names
        f" FROM (SELECT * FROM {table} LIMIT 1) t, generate_series({first}, {rows}) n"
    )


async def large_log(scale: Scale) -> Figures:
    """
    Deliver with an empty log and with a million attempts; read pages of the large log.
    """
    rows = ROWS
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=scale.of(8000))
        empty = await deployment.measure(total=scale.of(12_000))
        await fill_log(deployment.database, rows)
        await deployment.measure(total=scale.of(4000))
        full = await deployment.measure(total=scale.of(12_000))
        figures = {
            f"log_1m_first_page_ms_{name}": await _first_page_ms(deployment, where)
            for name, where in FILTERS.items()
        }
    return {
        "log_1m_rows_throughput_ratio": full.per_second / empty.per_second,
        "log_1m_postgres_cpu_us_per_delivery": full.cpu_us("postgres"),
        **figures,
    }


async def _first_page_ms(deployment: Deployment, where: str) -> float:
    now = time.time()
    text = where.format(hour_ago=_text(now - 3600), now=_text(now))
    request = delivery_service_pb2.ListAttemptsRequest(
        parent="accounts/100/deliveries/-", filter=text, page_size=50
    )
    times_ms = []
    for _ in range(CALLS):
        started = time.perf_counter()
        answer = await deployment.pair.deliveries.ListAttempts(request)
        times_ms.append((time.perf_counter() - started) * 1000)
        if not answer.attempts:
            raise RuntimeError(f"nothing found for {text}")
    return median(times_ms)


def _text(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def matching(_scale: Scale) -> Figures:
    """
    Match events of the same hundred owners among 100 subscriptions and among 100,000.
    """
    cost = {count: match_us(count) for count in (100, 100_000)}
    return {
        "subscriptions_100_match_us": cost[100],
        "subscriptions_100k_match_us": cost[100_000],
        "subscriptions_100k_match_ratio": cost[100_000] / cost[100],
    }


def match_us(count: int) -> float:
    """
    Return the cost of matching an event among *count* subscriptions, in CPU microseconds.
    """
    index = SubscriptionIndex()
    model = subscription()
    for number in range(count):
        index.put(replace(model, owner=f"accounts/{100 + number}"))
    event = example_event("orders/shipped")
    facts = []
    for number in range(100):
        event.account_id = 100 + number
        facts.append(read_facts(event))
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(20):
            for event_facts in facts:
                match(event_facts, index)
        rounds.append((time.process_time() - started) / 2000 * 1e6)
    return min(rounds)

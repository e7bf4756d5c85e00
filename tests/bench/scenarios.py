"""
Scenarios of the benchmark: each returns its figures, once in a round.

All features of the dispatch service are on: TLS, signatures, sealing, the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import wrk
from tests.bench.bulk_subscriptions import filled_with
from tests.bench.deployment import Deployment, Measurement, running_deployment
from tests.support.databases import Postgres

Figures = dict[str, float]

WIDE = {"SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "128"}
NO_SWEEP = {"SHIPEDGE_DISPATCH_MAINTENANCE_INTERVAL": "1h"}
"""
Postpones the hourly retention run, whose cost grows with the owners, past the end of a load.
"""

HEALTHY = range(100, 150)
HANGING = 200
BACKLOG = 20_000


@dataclass(frozen=True)
class Scale:
    """
    The size of the loads: *part* of the full size.
    """

    postgres: Postgres
    part: float = 1.0

    def of(self, events: int) -> int:
        """
        Return the number of events of a load, in batches of 100.
        """
        return max(round(events * self.part / 100), 5) * 100


Scenario = Callable[[Scale], Awaitable[Figures]]


async def throughput(scale: Scale) -> Figures:
    """
    Publish batches of 100 at full speed, to one endpoint that answers at once.
    """
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=scale.of(8000))
        measured = await deployment.measure(total=scale.of(20_000))
    return {
        "deliveries_per_second_postgres": measured.per_second,
        "dispatcher_cpu_us_per_delivery": measured.cpu_us("dispatcher"),
        "postgres_cpu_us_per_delivery": measured.cpu_us("postgres"),
        "publisher_cpu_us_per_delivery": measured.cpu_us("publisher"),
        "receiver_cpu_us_per_delivery": measured.cpu_us("receiver"),
        "config_service_cpu_us_per_delivery": measured.cpu_us("config_service"),
        "sql_statements_per_1000_deliveries": measured.round_trips / measured.deliveries * 1000,
        "new_connections_per_1000_deliveries_warm": _connections(measured),
    }


async def wrk_baseline(_scale: Scale) -> Figures:
    """
    Send the same requests by a load generator in C; no figures if it is not installed.
    """
    if wrk.missing():
        return {}
    short, long = await wrk.baseline()
    return {
        "wrk_cpu_us_per_request": wrk.cpu_us_per_request(short, long),
        "wrk_requests_per_second": long.requests / long.seconds,
    }


async def throughput_sqlite(scale: Scale) -> Figures:
    """
    Measure the throughput on SQLite.
    """
    async with running_deployment(None, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=scale.of(4000))
        measured = await deployment.measure(total=scale.of(12_000))
    return {
        "deliveries_per_second_sqlite": measured.per_second,
        "dispatcher_cpu_us_per_delivery_sqlite": measured.cpu_us("dispatcher"),
    }


async def naive(scale: Scale) -> Figures:
    """
    Measure the simple variant: unary calls, a commit for each row, plain httpx.
    """
    async with running_deployment(scale.postgres, module="tests.bench.naive") as deployment:
        await deployment.measure(total=100, batch=1, parallel=32)
        measured = await deployment.measure(total=scale.of(600), batch=1, parallel=32)
    return {
        "naive_deliveries_per_second": measured.per_second,
        "naive_cpu_us_per_delivery": measured.cpu_us("dispatcher"),
        "naive_postgres_cpu_us_per_delivery": measured.cpu_us("postgres"),
    }


async def latency(scale: Scale) -> Figures:
    """
    Publish on schedule; measure the time from the publish call to the request.
    """
    figures: Figures = {}
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=2000)
        for name, rate, batch in (
            ("200_unary", 200, 1),
            ("1000_unary", 1000, 1),
            ("1000_batches_of_10", 1000, 10),
        ):
            total = scale.of(rate * 5)
            measured = await deployment.measure(total=total, rate=rate, batch=batch)
            seen, sent = measured.received["paths"]["/ok"], measured.published
            seconds = (sent["ended_ns"] - sent["started_ns"]) / 1e9
            figures |= {
                f"latency_ms_{name}_p50": seen["p50_ms"],
                f"latency_ms_{name}_p99": seen["p99_ms"],
                f"publish_ack_ms_{name}_p99": sent["ack_p99_ms"],
                f"load_held_{name}": min(total / rate / seconds, 1.0),
            }
    return figures


async def slow_receiver(scale: Scale) -> Figures:
    """
    Deliver to ten endpoints that answer after a second, with 3,000 open requests.
    """
    measured, memory = await slow_answers(scale, 1000, 18_000)
    return {
        "slow_receiver_deliveries_per_second": measured.per_second,
        "slow_receiver_open_connections": measured.received["max_open"],
        "slow_receiver_memory_mb": memory,
        "slow_receiver_cpu_us_per_delivery": measured.cpu_us("dispatcher"),
    }


async def slow_answers(scale: Scale, wait_ms: int, total: int) -> tuple[Measurement, float]:
    """
    Deliver to ten endpoints that answer after *wait_ms*.

    Return the measurement and the memory of the dispatch service.
    """
    settings = {"SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "300"}
    accounts = range(100, 110)
    path = f"/slow/{wait_ms}"
    async with running_deployment(scale.postgres, **settings) as deployment:
        await deployment.subscribe(accounts, path)
        load: dict[str, Any] = {"path": path, "accounts": len(accounts)}
        await deployment.measure(total=9000, **load)
        measured = await deployment.measure(total=total, **load)
        return measured, deployment.memory_mb()


async def origins(scale: Scale) -> Figures:
    """
    Deliver the same load to 10 endpoints and to 2,000, over connections that are open.
    """
    cpu = {}
    for count in (10, 2000):
        measured = await over_endpoints(scale, count)
        cpu[count] = measured.cpu_us("dispatcher")
    return {
        "origins_2000_over_10": cpu[2000] / cpu[10],
        "origins_10_cpu_us_per_delivery": cpu[10],
        "origins_2000_cpu_us_per_delivery": cpu[2000],
        "origins_2000_new_connections": float(measured.received["connections"]),
    }


async def over_endpoints(scale: Scale, count: int) -> Measurement:
    """
    Deliver to *count* endpoints, one for each account, over connections that are open.
    """
    before = filled_with(range(100, 100 + count))
    async with running_deployment(scale.postgres, before, **NO_SWEEP) as deployment:
        await deployment.wait_applied(count)
        # With a rate, so that both cases hold equally many deliveries in memory.
        load: dict[str, Any] = {"accounts": count, "rate": 1000, "batch": 50}
        await deployment.measure(total=4000, **load)
        return await deployment.measure(total=6000, **load)


async def neighbour(scale: Scale) -> Figures:
    """
    Deliver to fifty healthy endpoints, alone and beside one that hangs and has a backlog.
    """
    async with running_deployment(scale.postgres) as deployment:
        await deployment.subscribe(HEALTHY)
        await deployment.subscribe([HANGING], "/hang")
        await _healthy(deployment, 1000)
        alone = await _healthy(deployment, 3000)
        await deployment.publish(total=BACKLOG, first_account=HANGING, accounts=1, parallel=2)
        await asyncio.sleep(1)
        beside = await _healthy(deployment, 3000)
    return {
        "neighbour_p99_ms_alone": alone["p99_ms"],
        "neighbour_p99_ms_beside": beside["p99_ms"],
        "neighbour_p99_ratio": beside["p99_ms"] / alone["p99_ms"],
    }


async def _healthy(deployment: Deployment, total: int) -> dict[str, Any]:
    measured = await deployment.measure(
        total=total, rate=300, batch=5, accounts=len(HEALTHY), first_account=HEALTHY[0]
    )
    seen: dict[str, Any] = measured.received["paths"]["/ok"]
    return seen


async def fanout(scale: Scale) -> Figures:
    """
    Deliver each event to one subscription, and to three with the same payload.
    """
    cpu = {}
    for wanted in (1, 3):
        async with running_deployment(scale.postgres, **WIDE) as deployment:
            await deployment.subscribe(versions=("v2",) * wanted)
            await deployment.measure(total=scale.of(3000), fanout=wanted)
            measured = await deployment.measure(total=scale.of(15_000 // wanted), fanout=wanted)
            cpu[wanted] = measured.cpu_us("dispatcher")
    return {"fanout_3_cpu_ratio": cpu[3] / cpu[1], "fanout_3_cpu_us_per_delivery": cpu[3]}


async def memory_growth(scale: Scale) -> Figures:
    """
    Measure the memory of the dispatch service before and after 100,000 deliveries.
    """
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=scale.of(30_000))
        before = deployment.memory_mb()
        await deployment.measure(total=scale.of(100_000))
        after = deployment.memory_mb()
    return {"memory_growth_mb_100k_deliveries": after - before, "memory_mb": after}


def _connections(measured: Measurement) -> float:
    return float(measured.received["connections"]) / measured.deliveries * 1000


def ratios(figures: Mapping[str, float]) -> Figures:
    """
    Return the figures that compare two scenarios of one round.
    """
    pairs = {
        "ratio_to_naive": ("deliveries_per_second_postgres", "naive_deliveries_per_second"),
        "ratio_to_wrk_cpu": ("dispatcher_cpu_us_per_delivery", "wrk_cpu_us_per_request"),
        "ratio_sqlite_to_postgres": (
            "deliveries_per_second_sqlite",
            "deliveries_per_second_postgres",
        ),
    }
    return {
        name: figures[over] / figures[under]
        for name, (over, under) in pairs.items()
        if over in figures and under in figures
    }

"""
The scenarios of the benchmark: each is run as often as there are rounds and returns
its figures. What the dispatch service does is on: TLS, signatures, sealing, the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import wrk
from tests.bench.bulk_subscriptions import filled_with
from tests.bench.stage import Measured, Stage, running_stage
from tests.support.databases import Postgres

Figures = dict[str, float]

WIDE = {"SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "128"}
NO_SWEEP = {"SHIPEDGE_DISPATCH_MAINTENANCE_INTERVAL": "1h"}
"""
Keeps the hourly look for old rows, whose cost grows with the owners, out of a short load.
"""

HEALTHY = range(100, 150)
HANGING = 200
BACKLOG = 20_000


@dataclass(frozen=True)
class Scale:
    """
    How large the loads are: *part* of the full ones.
    """

    postgres: Postgres
    part: float = 1.0

    def of(self, events: int) -> int:
        """
        Return the events of a load, in whole batches.
        """
        return max(round(events * self.part / 100), 5) * 100


Scenario = Callable[[Scale], Awaitable[Figures]]


async def throughput(scale: Scale) -> Figures:
    """
    Batches of 100 as fast as they are taken, one endpoint that answers at once.
    """
    async with running_stage(scale.postgres, **WIDE) as stage:
        await stage.subscribe()
        await stage.measure(total=scale.of(8000))
        it = await stage.measure(total=scale.of(20_000))
    return {
        "deliveries_per_second_postgres": it.per_second,
        "dispatcher_cpu_us_per_delivery": it.cpu_us("dispatcher"),
        "postgres_cpu_us_per_delivery": it.cpu_us("postgres"),
        "publisher_cpu_us_per_delivery": it.cpu_us("publisher"),
        "receiver_cpu_us_per_delivery": it.cpu_us("receiver"),
        "config_service_cpu_us_per_delivery": it.cpu_us("config_service"),
        "sql_statements_per_1000_deliveries": it.round_trips / it.deliveries * 1000,
        "new_connections_per_1000_deliveries_warm": _connections(it),
    }


async def wrk_baseline(_scale: Scale) -> Figures:
    """
    The same requests from a load generator in C; nothing where it is not installed.
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
    The same on SQLite.
    """
    async with running_stage(None, **WIDE) as stage:
        await stage.subscribe()
        await stage.measure(total=scale.of(4000))
        it = await stage.measure(total=scale.of(12_000))
    return {
        "deliveries_per_second_sqlite": it.per_second,
        "dispatcher_cpu_us_per_delivery_sqlite": it.cpu_us("dispatcher"),
    }


async def naive(scale: Scale) -> Figures:
    """
    The straightforward variant: unary calls, a commit for each row, httpx as it comes.
    """
    async with running_stage(scale.postgres, module="tests.bench.naive") as stage:
        await stage.measure(total=100, batch=1, parallel=32)
        it = await stage.measure(total=scale.of(600), batch=1, parallel=32)
    return {
        "naive_deliveries_per_second": it.per_second,
        "naive_cpu_us_per_delivery": it.cpu_us("dispatcher"),
        "naive_postgres_cpu_us_per_delivery": it.cpu_us("postgres"),
    }


async def latency(scale: Scale) -> Figures:
    """
    Events on time: from the call that publishes to the request at the receiver.
    """
    figures: Figures = {}
    async with running_stage(scale.postgres, **WIDE) as stage:
        await stage.subscribe()
        await stage.measure(total=2000)
        for name, rate, batch in (
            ("200_unary", 200, 1),
            ("1000_unary", 1000, 1),
            ("1000_batches_of_10", 1000, 10),
        ):
            total = scale.of(rate * 5)
            it = await stage.measure(total=total, rate=rate, batch=batch)
            seen, sent = it.received["paths"]["/ok"], it.published
            seconds = (sent["ended_ns"] - sent["begun_ns"]) / 1e9
            figures |= {
                f"latency_ms_{name}_p50": seen["p50_ms"],
                f"latency_ms_{name}_p99": seen["p99_ms"],
                f"publish_ack_ms_{name}_p99": sent["ack_p99_ms"],
                f"load_held_{name}": min(total / rate / seconds, 1.0),
            }
    return figures


async def slow_receiver(scale: Scale) -> Figures:
    """
    Ten endpoints that answer after a second, 3,000 requests open.
    """
    it, memory = await slow_answers(scale, 1000, 18_000)
    return {
        "slow_receiver_deliveries_per_second": it.per_second,
        "slow_receiver_open_connections": it.received["most_open"],
        "slow_receiver_memory_mb": memory,
        "slow_receiver_cpu_us_per_delivery": it.cpu_us("dispatcher"),
    }


async def slow_answers(scale: Scale, wait_ms: int, total: int) -> tuple[Measured, float]:
    """
    Deliver to ten endpoints that answer after a while; return the cost, and the
    dispatcher's memory then.
    """
    settings = {"SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "300"}
    accounts = range(100, 110)
    path = f"/slow/{wait_ms}"
    async with running_stage(scale.postgres, **settings) as stage:
        await stage.subscribe(accounts, path)
        load: dict[str, Any] = {"path": path, "accounts": len(accounts)}
        await stage.measure(total=9000, **load)
        it = await stage.measure(total=total, **load)
        return it, stage.memory_mb()


async def origins(scale: Scale) -> Figures:
    """
    The same load over 10 endpoints and over 2,000, all with warm connections.
    """
    cpu = {}
    for count in (10, 2000):
        it = await over_endpoints(scale, count)
        cpu[count] = it.cpu_us("dispatcher")
    return {
        "origins_2000_over_10": cpu[2000] / cpu[10],
        "origins_10_cpu_us_per_delivery": cpu[10],
        "origins_2000_cpu_us_per_delivery": cpu[2000],
        "origins_2000_new_connections": float(it.received["connections"]),
    }


async def over_endpoints(scale: Scale, count: int) -> Measured:
    """
    Deliver to as many endpoints, each an account of its own, over connections that are there.
    """
    before = filled_with(range(100, 100 + count))
    async with running_stage(scale.postgres, before, **NO_SWEEP) as stage:
        await stage.wait_applied(count)
        # A load on time, so that neither has more in memory than the other.
        load: dict[str, Any] = {"accounts": count, "rate": 1000, "batch": 50}
        await stage.measure(total=4000, **load)
        return await stage.measure(total=6000, **load)


async def neighbour(scale: Scale) -> Figures:
    """
    Fifty healthy endpoints without and with one that hangs and has a backlog.
    """
    async with running_stage(scale.postgres) as stage:
        await stage.subscribe(HEALTHY)
        await stage.subscribe([HANGING], "/hang")
        await _healthy(stage, 1000)
        alone = await _healthy(stage, 3000)
        await stage.publish(total=BACKLOG, first_account=HANGING, accounts=1, parallel=2)
        await asyncio.sleep(1)
        beside = await _healthy(stage, 3000)
    return {
        "neighbour_p99_ms_alone": alone["p99_ms"],
        "neighbour_p99_ms_beside": beside["p99_ms"],
        "neighbour_p99_ratio": beside["p99_ms"] / alone["p99_ms"],
    }


async def _healthy(stage: Stage, total: int) -> dict[str, Any]:
    it = await stage.measure(
        total=total, rate=300, batch=5, accounts=len(HEALTHY), first_account=HEALTHY[0]
    )
    seen: dict[str, Any] = it.received["paths"]["/ok"]
    return seen


async def fanout(scale: Scale) -> Figures:
    """
    One subscription for an event, and three that want the same payload.
    """
    cpu = {}
    for wanted in (1, 3):
        async with running_stage(scale.postgres, **WIDE) as stage:
            await stage.subscribe(versions=("v2",) * wanted)
            await stage.measure(total=scale.of(3000), fanout=wanted)
            it = await stage.measure(total=scale.of(15_000 // wanted), fanout=wanted)
            cpu[wanted] = it.cpu_us("dispatcher")
    return {"fanout_3_cpu_ratio": cpu[3] / cpu[1], "fanout_3_cpu_us_per_delivery": cpu[3]}


async def memory_growth(scale: Scale) -> Figures:
    """
    The memory of the dispatcher before and after 100,000 deliveries.
    """
    async with running_stage(scale.postgres, **WIDE) as stage:
        await stage.subscribe()
        await stage.measure(total=scale.of(30_000))
        before = stage.memory_mb()
        await stage.measure(total=scale.of(100_000))
        after = stage.memory_mb()
    return {"memory_growth_mb_100k_deliveries": after - before, "memory_mb": after}


def _connections(it: Measured) -> float:
    return float(it.received["connections"]) / it.deliveries * 1000


def ratios(figures: Mapping[str, float]) -> Figures:
    """
    Derive the figures that compare two scenarios of one round.
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

"""
The scenario with several worker processes.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.bench.deployment import Measurement, running_deployment
from tests.bench.scenarios import WIDE, Figures, Scale

TURNS = 2
LOAD: dict[str, Any] = {"connections": 32, "parallel": 16}
"""
With this many connections, each of two workers gets about half of them.
"""


async def workers(scale: Scale) -> Figures:
    """
    Publish batches of 100 at full speed, in turns with one process and with two on one port.
    """
    by_count: dict[int, list[Measurement]] = {1: [], 2: []}
    for _ in range(TURNS):
        for count, measured in by_count.items():
            measured.append(await _measured(scale, count))
    one, two = by_count[1], by_count[2]
    return {
        "workers_2_cpu_ratio": _cpu_us(two) / _cpu_us(one),
        "workers_2_throughput_ratio": _per_second(two) / _per_second(one),
        "workers_2_cpu_us_per_delivery": _cpu_us(two),
        "workers_2_deliveries_per_second": _per_second(two),
        "workers_2_sql_statements_per_1000_deliveries": median(
            measured.round_trips / measured.deliveries * 1000 for measured in two
        ),
    }


async def _measured(scale: Scale, count: int) -> Measurement:
    settings = {**WIDE, "SHIPEDGE_DISPATCH_WORKERS": str(count)}
    async with running_deployment(scale.postgres, **settings) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=scale.of(6000), **LOAD)
        return await deployment.measure(total=scale.of(20_000), **LOAD)


def _cpu_us(measured: list[Measurement]) -> float:
    return median(run.cpu_us("dispatcher") for run in measured)


def _per_second(measured: list[Measurement]) -> float:
    return median(run.per_second for run in measured)

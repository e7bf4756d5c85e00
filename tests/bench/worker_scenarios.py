"""
The scenario of the benchmark about several worker processes.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.bench.scenarios import WIDE, Figures, Scale
from tests.bench.stage import Measured, running_stage

TURNS = 2
LOAD: dict[str, Any] = {"connections": 32, "parallel": 16}
"""
So many connections that each of two workers gets about half of them.
"""


async def workers(scale: Scale) -> Figures:
    """
    Batches of 100 as fast as they are taken, by one process and by two on one port, in turns.
    """
    seen: dict[int, list[Measured]] = {1: [], 2: []}
    for _ in range(TURNS):
        for count, measured in seen.items():
            measured.append(await _measured(scale, count))
    one, two = seen[1], seen[2]
    return {
        "workers_2_cpu_ratio": _cpu_us(two) / _cpu_us(one),
        "workers_2_throughput_ratio": _per_second(two) / _per_second(one),
        "workers_2_cpu_us_per_delivery": _cpu_us(two),
        "workers_2_deliveries_per_second": _per_second(two),
        "workers_2_sql_statements_per_1000_deliveries": median(
            it.round_trips / it.deliveries * 1000 for it in two
        ),
    }


async def _measured(scale: Scale, count: int) -> Measured:
    settings = {**WIDE, "SHIPEDGE_DISPATCH_WORKERS": str(count)}
    async with running_stage(scale.postgres, **settings) as stage:
        await stage.subscribe()
        await stage.measure(total=scale.of(6000), **LOAD)
        return await stage.measure(total=scale.of(20_000), **LOAD)


def _cpu_us(measured: list[Measured]) -> float:
    return median(it.cpu_us("dispatcher") for it in measured)


def _per_second(measured: list[Measured]) -> float:
    return median(it.per_second for it in measured)

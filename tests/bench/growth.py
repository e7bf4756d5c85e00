"""
How cost grows: with the size of batches, subscriptions, endpoints, the log and the
receivers' latency.

    python -m tests.bench.growth [--only CURVE …]

Writes `build/growth.json` and, of all curves, the section with the plots in
`docs/performance.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tests.bench.bulk_subscriptions import filled_with
from tests.bench.log_scenarios import fill_log, match_us
from tests.bench.machine import machine
from tests.bench.plots import Curve, Point, replaced, section
from tests.bench.scale_scenarios import SNAPSHOT_PATIENCE_SECONDS
from tests.bench.scenarios import NO_SWEEP, WIDE, Figures, Scale, over_endpoints, slow_answers
from tests.bench.stage import Measured, Stage, running_stage
from tests.support.databases import running_postgres

RESULT = Path("build/growth.json")
DOCUMENT = Path("docs/performance.md")

CPU, RATE = "dispatcher CPU, µs per delivery", "deliveries per second"
DATABASE_CPU, MEMORY = "PostgreSQL CPU, µs per delivery", "dispatcher memory, MiB"

BATCHES = {1: 2000, 10: 6000, 100: 12_000, 500: 12_000}
"""
Events in a publish call, and how many of them are published.
"""
SUBSCRIPTIONS = (100, 1000, 10_000, 100_000)
ENDPOINTS = (1, 10, 100, 1000, 2000)
LOG_ROWS = (0, 100_000, 300_000, 1_000_000)
LATENCIES_MS = {0: 9000, 10: 9000, 100: 9000, 1000: 9000}


def _costs(it: Measured) -> Figures:
    return {CPU: it.cpu_us("dispatcher"), DATABASE_CPU: it.cpu_us("postgres")}


async def batches(scale: Scale) -> Sequence[Point]:
    """
    Publish as fast as it is taken, in calls of more and more events.
    """
    points = []
    async with running_stage(scale.postgres, **WIDE) as stage:
        await stage.subscribe()
        await stage.measure(total=8000)
        for size, total in BATCHES.items():
            it = await stage.measure(total=total, batch=size, parallel=32 if size == 1 else 8)
            points.append(Point(size, {RATE: it.per_second, **_costs(it)}))
    return points


async def subscriptions(scale: Scale) -> Sequence[Point]:
    """
    Deliver to a hundred accounts, while more and more have a subscription.
    """
    return [await _among(scale, count) for count in SUBSCRIPTIONS]


async def _among(scale: Scale, count: int) -> Point:
    before = filled_with(range(100, 100 + count))
    async with running_stage(scale.postgres, before, **NO_SWEEP) as stage:
        await stage.wait_applied(count, SNAPSHOT_PATIENCE_SECONDS)
        await stage.measure(total=4000, accounts=100)
        it = await stage.measure(total=10_000, accounts=100)
        memory = stage.memory_mb()
    matching = {"matching, µs per event": match_us(count)}
    return Point(count, {RATE: it.per_second, **_costs(it), **matching, MEMORY: memory})


async def endpoints(scale: Scale) -> Sequence[Point]:
    """
    Deliver a thousand events a second, spread over more and more endpoints.
    """
    found = [(count, await over_endpoints(scale, count)) for count in ENDPOINTS]
    return [Point(count, _costs(it)) for count, it in found]


async def log_size(scale: Scale) -> Sequence[Point]:
    """
    Deliver beside a log that gets larger and larger.
    """
    points = []
    async with running_stage(scale.postgres, **WIDE) as stage:
        await stage.subscribe()
        await stage.measure(total=8000)
        for before, rows in zip((0, *LOG_ROWS), LOG_ROWS, strict=False):
            if rows > before:
                await fill_log(stage.database, rows, before + 1)
            points.append(await _beside(stage, rows))
    return points


async def _beside(stage: Stage, rows: int) -> Point:
    await stage.measure(total=4000)
    it = await stage.measure(total=12_000)
    return Point(rows, {RATE: it.per_second, **_costs(it)})


async def latency(scale: Scale) -> Sequence[Point]:
    """
    Deliver to ten endpoints that take longer and longer to answer, 3,000 requests open.
    """
    points = []
    for wait_ms, total in LATENCIES_MS.items():
        it, memory = await slow_answers(scale, wait_ms, total)
        points.append(Point(wait_ms, {RATE: it.per_second, **_costs(it), MEMORY: memory}))
    return points


CURVES: Mapping[str, tuple[Curve, Callable[[Scale], Awaitable[Sequence[Point]]]]] = {
    "batches": (Curve("Events in a publish call", "events in a call", CPU), batches),
    "subscriptions": (Curve("Subscriptions", "subscriptions", CPU), subscriptions),
    "endpoints": (Curve("Endpoints", "endpoints", CPU), endpoints),
    "log_size": (Curve("Size of the log", "attempts in the log", RATE), log_size),
    "latency": (Curve("Receivers' latency", "ms until the answer", CPU), latency),
}


def main(arguments: Sequence[str]) -> None:
    """
    Measure the curves that the arguments ask for.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument("--only", nargs="+", choices=CURVES, help="only these, and no document")
    asked = parser.parse_args(arguments)
    curves = asyncio.run(measure(asked.only or tuple(CURVES)))
    text = "\n".join(line for it in curves.values() for line in section(it))
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    result = {"machine": machine(), "curves": {name: asdict(it) for name, it in curves.items()}}
    RESULT.write_text(json.dumps(result, indent=1))
    if not asked.only:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text))


async def measure(chosen: Sequence[str]) -> dict[str, Curve]:
    """
    Measure curves, one after the other.
    """
    found = {}
    with running_postgres(durable=True) as postgres:
        for name in chosen:
            started = time.monotonic()
            curve, points = CURVES[name]
            found[name] = replace(curve, points=await points(Scale(postgres)))
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])

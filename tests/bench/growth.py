"""
How cost grows with the size of batches, the number of subscriptions and endpoints, the size of
the log and the latency of receivers.

    python -m tests.bench.growth [--only CURVE …]

Writes `build/growth.json`; without `--only` also the section with the plots in
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
from tests.bench.deployment import Deployment, Measurement, running_deployment
from tests.bench.log_scenarios import fill_log, match_us
from tests.bench.machine import machine
from tests.bench.plots import Curve, Point, replaced, section
from tests.bench.scale_scenarios import SNAPSHOT_TIMEOUT_SECONDS
from tests.bench.scenarios import NO_SWEEP, WIDE, Figures, Scale, over_endpoints, slow_answers
from tests.support.databases import running_postgres

RESULT = Path("build/growth.json")
DOCUMENT = Path("docs/performance.md")

CPU, RATE = "dispatcher CPU, µs per delivery", "deliveries per second"
DATABASE_CPU, MEMORY = "PostgreSQL CPU, µs per delivery", "dispatcher memory, MiB"

BATCHES = {1: 2000, 10: 6000, 100: 12_000, 500: 12_000}
"""
Events in a publish call, and events published in all.
"""
SUBSCRIPTIONS = (100, 1000, 10_000, 100_000)
ENDPOINTS = (1, 10, 100, 1000, 2000)
LOG_ROWS = (0, 100_000, 300_000, 1_000_000)
LATENCIES_MS = {0: 9000, 10: 9000, 100: 9000, 1000: 9000}


def _costs(measured: Measurement) -> Figures:
    return {CPU: measured.cpu_us("dispatcher"), DATABASE_CPU: measured.cpu_us("postgres")}


async def batches(scale: Scale) -> Sequence[Point]:
    """
    Publish at full speed, in calls of more and more events.
    """
    points = []
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=8000)
        for size, total in BATCHES.items():
            parallel = 32 if size == 1 else 8
            measured = await deployment.measure(total=total, batch=size, parallel=parallel)
            points.append(Point(size, {RATE: measured.per_second, **_costs(measured)}))
    return points


async def subscriptions(scale: Scale) -> Sequence[Point]:
    """
    Deliver to a hundred accounts, while more and more accounts have a subscription.
    """
    return [await _with_subscriptions(scale, count) for count in SUBSCRIPTIONS]


async def _with_subscriptions(scale: Scale, count: int) -> Point:
    before = filled_with(range(100, 100 + count))
    async with running_deployment(scale.postgres, before, **NO_SWEEP) as deployment:
        await deployment.wait_applied(count, SNAPSHOT_TIMEOUT_SECONDS)
        await deployment.measure(total=4000, accounts=100)
        measured = await deployment.measure(total=10_000, accounts=100)
        memory = deployment.memory_mb()
    matching = {"matching, µs per event": match_us(count)}
    return Point(count, {RATE: measured.per_second, **_costs(measured), **matching, MEMORY: memory})


async def endpoints(scale: Scale) -> Sequence[Point]:
    """
    Deliver a thousand events a second to more and more endpoints.
    """
    found = [(count, await over_endpoints(scale, count)) for count in ENDPOINTS]
    return [Point(count, _costs(measured)) for count, measured in found]


async def log_size(scale: Scale) -> Sequence[Point]:
    """
    Deliver while the log gets larger and larger.
    """
    points = []
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=8000)
        for before, rows in zip((0, *LOG_ROWS), LOG_ROWS, strict=False):
            if rows > before:
                await fill_log(deployment.database, rows, before + 1)
            points.append(await _with_log(deployment, rows))
    return points


async def _with_log(deployment: Deployment, rows: int) -> Point:
    await deployment.measure(total=4000)
    measured = await deployment.measure(total=12_000)
    return Point(rows, {RATE: measured.per_second, **_costs(measured)})


async def latency(scale: Scale) -> Sequence[Point]:
    """
    Deliver to ten endpoints that answer later and later, with up to 3,000 open requests.
    """
    points = []
    for wait_ms, total in LATENCIES_MS.items():
        measured, memory = await slow_answers(scale, wait_ms, total)
        figures = {RATE: measured.per_second, **_costs(measured), MEMORY: memory}
        points.append(Point(wait_ms, figures))
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
    Measure the curves that the command line names.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument(
        "--only", nargs="+", choices=CURVES, help="only these curves; keep the document"
    )
    options = parser.parse_args(arguments)
    curves = asyncio.run(measure(options.only or tuple(CURVES)))
    text = "\n".join(line for curve in curves.values() for line in section(curve))
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    written = {name: asdict(curve) for name, curve in curves.items()}
    result = {"machine": machine(), "curves": written}
    RESULT.write_text(json.dumps(result, indent=1))
    if not options.only:
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

"""
The cost of rendering, in CPU microseconds, for every payload version.

    python -m tests.bench.rendering [FILE]

Each round measures all contracts, so that load on the machine from outside does not affect one of
them only; a figure is the minimum of its rounds. All figures are written to FILE as JSON.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import msgspec

from dispatch_service.payloads import CONTRACTS, check, example_event, render
from shipedge.webhooks.catalogue import CATALOGUE

ROUNDS = 7
CALLS = 300

Figures = dict[str, float]


def cost_us(work: Callable[[], object]) -> float:
    """
    Measure the CPU microseconds of one call.
    """
    started = time.process_time()
    for _ in range(CALLS):
        work()
    return (time.process_time() - started) / CALLS * 1e6


def measurements() -> Iterator[tuple[str, Callable[[], object]]]:
    """
    Yield the name and the function of each measurement: every contract, every check of an event.
    """
    for event_type, version in CONTRACTS:
        event = example_event(event_type)
        yield f"render {event_type} {version}", partial(render, event, event_type, version)
    for event_type in CATALOGUE.event_types:
        yield f"check {event_type}", partial(check, example_event(event_type))


def measure() -> Figures:
    """
    Measure everything; return the minimum of each.
    """
    rounds = [{name: cost_us(work) for name, work in measurements()} for _ in range(ROUNDS)]
    return {name: min(costs[name] for costs in rounds) for name in rounds[0]}


def table(figures: Figures) -> Iterator[str]:
    """
    Yield the lines of a summary.
    """
    yield f"{'CPU microseconds':<24} {'least':>7} {'median':>7} {'most':>7}"
    for title, begin, end in (
        ("render version 1", "render", " v1"),
        ("render version 2", "render", " v2"),
        ("render version 3", "render", " v3"),
        ("check an event", "check", ""),
    ):
        found = [
            us for name, us in figures.items() if name.startswith(begin) and name.endswith(end)
        ]
        yield f"{title:<24} {min(found):>7.1f} {median(found):>7.1f} {max(found):>7.1f}"


def main() -> None:
    figures = measure()
    sys.stdout.write("\n".join(table(figures)) + "\n")
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))


if __name__ == "__main__":
    main()

"""
What rendering costs: CPU microseconds per payload, for every payload version.

    python -m tests.bench.rendering [FILE]

Rounds over all contracts are interleaved, so that a busy moment of the machine
does not fall on one of them; each figure is the least of its rounds. With FILE,
all figures are written there as JSON.
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


def works() -> Iterator[tuple[str, Callable[[], object]]]:
    """
    Yield what is measured, by its name: every contract, and the checks of every event.
    """
    for event_type, version in CONTRACTS:
        event = example_event(event_type)
        yield f"render {event_type} {version}", partial(render, event, event_type, version)
    for event_type in CATALOGUE.event_types:
        yield f"check {event_type}", partial(check, example_event(event_type))


def measure() -> Figures:
    """
    Measure everything; return the least cost of each.
    """
    rounds = [{name: cost_us(work) for name, work in works()} for _ in range(ROUNDS)]
    return {name: min(it[name] for it in rounds) for name in rounds[0]}


def table(figures: Figures) -> Iterator[str]:
    """
    Sum the figures up for people.
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
    """
    Run the command.
    """
    figures = measure()
    sys.stdout.write("\n".join(table(figures)) + "\n")
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))


if __name__ == "__main__":
    main()

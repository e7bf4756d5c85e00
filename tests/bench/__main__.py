"""
Benchmark of the whole product.

    python -m tests.bench [--quick] [--runs N] [--only SCENARIO …]

Prints a table and writes `build/bench.json`. Each round runs the scenarios one after the other,
so that load on the machine from outside affects all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import (
    log_scenarios,
    scale_scenarios,
    scenarios,
    support_scenarios,
    worker_scenarios,
    wrk,
)
from tests.bench.figures import summary, table, with_targets
from tests.bench.machine import longest_stall_ms, machine
from tests.bench.scenarios import Figures, Scale, Scenario
from tests.support.databases import running_postgres

RESULT = Path("build/bench.json")
TIMEOUT_SECONDS = 420.0
"""
A scenario that takes longer has failed.
"""

SCENARIOS: Mapping[str, Scenario] = {
    "throughput": scenarios.throughput,
    "wrk": scenarios.wrk_baseline,
    "throughput_sqlite": scenarios.throughput_sqlite,
    "naive": scenarios.naive,
    "latency": scenarios.latency,
    "neighbour": scenarios.neighbour,
    "fanout": scenarios.fanout,
    "matching": log_scenarios.matching,
    "slow_receiver": scenarios.slow_receiver,
    "origins": scenarios.origins,
    "large_log": log_scenarios.large_log,
    "support": support_scenarios.support,
    "memory_growth": scenarios.memory_growth,
    "workers": worker_scenarios.workers,
    "large_scale": scale_scenarios.large_scale,
}

QUICK = ("throughput", "wrk", "throughput_sqlite", "naive", "matching")
"""
The scenarios of `--quick`: together about a minute.
"""

ONCE = frozenset({"large_scale"})
"""
Slow scenarios, which run in the first round only.
"""

OFTEN = frozenset({"throughput", "wrk", "throughput_sqlite", "naive", "latency", "workers"})
"""
Scenarios that vary most with other load on the machine: they also run between two rounds.
"""

ROUNDS = 3


@dataclass
class Measurements:
    """
    The values of each figure in all rounds, and the error of each scenario that failed.
    """

    samples: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        """
        Add the figures of a round.
        """
        for name, value in figures.items():
            self.samples.setdefault(name, []).append(value)


def main(arguments: Sequence[str]) -> int:
    """
    Run the benchmark. Return 1 if a scenario failed; a missed target is not an error.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="small loads, about a minute")
    parser.add_argument(
        "--runs", type=int, help=f"number of rounds ({ROUNDS}, and short ones between them)"
    )
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="only these scenarios")
    options = parser.parse_args(arguments)
    chosen = options.only or (QUICK if options.quick else tuple(SCENARIOS))
    runs = options.runs or (1 if options.quick else ROUNDS)
    rounds = planned(chosen, runs, between=options.runs is None)
    measured = asyncio.run(measure(rounds, 0.25 if options.quick else 1.0))
    figures = with_targets({**summary(measured.samples), **without_wrk(chosen)})
    print("\n".join(table(figures)))
    RESULT.parent.mkdir(exist_ok=True)
    result = {"machine": machine(), "runs": runs, "errors": measured.errors, "figures": figures}
    RESULT.write_text(json.dumps(result, indent=1))
    return 1 if measured.errors else 0


def planned(chosen: Sequence[str], runs: int, *, between: bool) -> list[list[str]]:
    """
    Return the scenarios of each round: all in the first, then all but the slow ones.

    With *between*, a round of the varying ones runs between two rounds.
    """
    often = [name for name in chosen if name in OFTEN]
    rounds = [list(chosen)]
    for _ in range(runs - 1):
        if between and often:
            rounds.append(often)
        rounds.append([name for name in chosen if name not in ONCE])
    return rounds


async def measure(rounds: Sequence[Sequence[str]], part: float) -> Measurements:
    """
    Run scenarios in rounds. One that fails does not stop the others.
    """
    found = Measurements()
    with running_postgres(durable=True) as postgres:
        for chosen in rounds:
            figures: dict[str, float] = {"machine_longest_stall_ms": longest_stall_ms()}
            for name in chosen:
                figures |= await _figures_of(name, Scale(postgres, part), found.errors)
            found.add({**figures, **scenarios.ratios(figures)})
    return found


async def _figures_of(name: str, scale: Scale, errors: dict[str, str]) -> Figures:
    started = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await SCENARIOS[name](scale)
    except Exception as error:  # noqa: BLE001 - reported at the end
        traceback.print_exc()
        errors[name] = f"{type(error).__name__}: {error}"
        return {}
    finally:
        took = time.monotonic() - started
        print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)


def without_wrk(chosen: Sequence[str]) -> dict[str, Any]:
    """
    Return, for figures that require `wrk`, the reason why they are missing; empty if it ran.
    """
    reason = wrk.missing() if "wrk" in chosen else None
    names = ("wrk_cpu_us_per_request", "wrk_requests_per_second", "ratio_to_wrk_cpu")
    return {name: {"median": None, "reason": reason} for name in names if reason}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""
The benchmark of the whole product.

    python -m tests.bench [--quick] [--runs N] [--only FIGURE_OR_SCENARIO …]

Prints a table and writes `build/bench.json`. The scenarios of one round follow each
other, so that a busy hour of the machine falls on all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import log_scenarios, scenarios, worker_scenarios
from tests.bench.figures import summary, table
from tests.bench.scenarios import Scale, Scenario
from tests.databases import running_postgres

RESULT = Path("build/bench.json")

SCENARIOS: Mapping[str, Scenario] = {
    "throughput": scenarios.throughput,
    "throughput_sqlite": scenarios.throughput_sqlite,
    "naive": scenarios.naive,
    "latency": scenarios.latency,
    "neighbour": scenarios.neighbour,
    "fanout": scenarios.fanout,
    "matching": log_scenarios.matching,
    "slow_receiver": scenarios.slow_receiver,
    "origins": scenarios.origins,
    "large_log": log_scenarios.large_log,
    "memory_growth": scenarios.memory_growth,
    "workers": worker_scenarios.workers,
}

QUICK = ("throughput", "throughput_sqlite", "naive", "matching")
"""
What fits into a minute.
"""


def main(arguments: Sequence[str]) -> None:
    """
    Run what the arguments ask for.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="small loads, about a minute")
    parser.add_argument("--runs", type=int, default=3, help="how many rounds (3)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="only these scenarios")
    asked = parser.parse_args(arguments)
    chosen = asked.only or (QUICK if asked.quick else tuple(SCENARIOS))
    runs = 1 if asked.quick else asked.runs
    samples = asyncio.run(measure(chosen, runs, 0.25 if asked.quick else 1.0))
    figures: dict[str, Any] = {**summary(samples), **_without_wrk()}
    print("\n".join(table(figures)))
    RESULT.parent.mkdir(exist_ok=True)
    result = {"machine": machine(), "runs": runs, "figures": figures}
    RESULT.write_text(json.dumps(result, indent=1))


async def measure(chosen: Sequence[str], runs: int, part: float) -> dict[str, list[float]]:
    """
    Run scenarios in rounds; return what each figure came to in every round.
    """
    samples: dict[str, list[float]] = {}
    with running_postgres(durable=True) as postgres:
        for _ in range(runs):
            figures: dict[str, float] = {}
            for name in chosen:
                begun = time.monotonic()
                figures |= await SCENARIOS[name](Scale(postgres, part))
                took = time.monotonic() - begun
                print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)
            for name, value in {**figures, **scenarios.ratios(figures)}.items():
                samples.setdefault(name, []).append(value)
    return samples


def machine() -> dict[str, Any]:
    """
    Describe what the figures depend on.
    """
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "python": platform.python_version(),
        "optimised_build": "--enable-optimizations" in flags,
        "cores": os.cpu_count(),
        "durability": "PostgreSQL fsync and synchronous_commit on; SQLite WAL, synchronous FULL",
        "transport": "HTTPS, kept alive",
    }


def _without_wrk() -> dict[str, Any]:
    reason = "wrk is installed but not used yet" if shutil.which("wrk") else "wrk is not installed"
    return {"ratio_to_wrk_cpu": {"median": None, "reason": reason}}


if __name__ == "__main__":
    main(sys.argv[1:])

"""
Figures of the benchmark: medians of several rounds, their targets and their table. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

Samples = Mapping[str, Sequence[float]]
"""
The values of each figure in several rounds.
"""

TARGETS: Mapping[str, tuple[str, float]] = {
    "deliveries_per_second_postgres": (">=", 4000),
    "ratio_to_naive": (">=", 15),
    "dispatcher_cpu_us_per_delivery": ("<=", 200),
    "ratio_to_wrk_cpu": ("<=", 18),
    "postgres_cpu_us_per_delivery": ("<=", 130),
    "ratio_sqlite_to_postgres": (">=", 0.6),
    "latency_ms_200_unary_p50": ("<=", 6),
    "latency_ms_200_unary_p99": ("<=", 20),
    "latency_ms_1000_unary_p50": ("<=", 8),
    "latency_ms_1000_unary_p99": ("<=", 25),
    "latency_ms_1000_batches_of_10_p50": ("<=", 8),
    "latency_ms_1000_batches_of_10_p99": ("<=", 25),
    "publish_ack_ms_200_unary_p99": ("<=", 15),
    "slow_receiver_deliveries_per_second": (">=", 2000),
    "slow_receiver_memory_mb": ("<=", 300),
    "origins_2000_over_10": ("<=", 2.2),
    "neighbour_p99_ratio": ("<=", 2),
    "sql_statements_per_1000_deliveries": ("<=", 40),
    "new_connections_per_1000_deliveries_warm": ("<=", 0),
    "log_1m_rows_throughput_ratio": (">=", 0.7),
    "memory_growth_mb_100k_deliveries": ("<=", 10),
    "subscriptions_100k_match_ratio": ("<=", 1.5),
    "fanout_3_cpu_ratio": ("<=", 0.8),
    "workers_2_cpu_ratio": ("<=", 1.15),
    "workers_2_throughput_ratio": (">=", 1),
    "start_up_100k_change_visible_ms": ("<=", 1000),
}
"""
The target of each figure on an idle machine with two cores.
"""


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """
    Return the smallest of *ordered* values that *percent* of them do not exceed; None if empty.
    """
    if not ordered:
        return None
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def summary(samples: Samples) -> dict[str, dict[str, Any]]:
    """
    Reduce the samples of each figure to median, minimum, maximum and the number of rounds.
    """
    return {
        name: {
            "median": median(values),
            "min": min(values),
            "max": max(values),
            "rounds": len(values),
        }
        for name, values in samples.items()
        if values
    }


def with_targets(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """
    Add to each figure its target, if it has one, and whether the median reaches it.
    """
    return {
        name: {**figure, **_target(name, figure.get("median"))} for name, figure in figures.items()
    }


def _target(name: str, value: float | None) -> dict[str, Any]:
    if name not in TARGETS:
        return {}
    reached = None if value is None else reaches(name, value)
    return {"target": " ".join(map(str, TARGETS[name])), "reached": reached}


def reaches(name: str, value: float) -> bool | None:
    """
    Tell whether a figure reaches its target; None if it has none.
    """
    if name not in TARGETS:
        return None
    relation, target = TARGETS[name]
    return value >= target if relation == ">=" else value <= target


def table(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """
    Yield the lines of a Markdown table of figures.
    """
    yield "| figure | median | min | max | target |  |"
    yield "|---|---:|---:|---:|---|---|"
    for name, figure in figures.items():
        if figure.get("median") is None:
            yield f"| `{name}` | - | - | - | | {figure.get('reason', '')} |"
            continue
        judgement = _target(name, figure["median"])
        reached = {None: "", True: "yes", False: "NO"}[judgement.get("reached")]
        numbers = " | ".join(shown(figure[key]) for key in ("median", "min", "max"))
        yield f"| `{name}` | {numbers} | {judgement.get('target', '')} | {reached} |"


def shown(value: float) -> str:
    """
    Write a figure with three significant digits.
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""
The scenarios of each round of the benchmark.
"""

from __future__ import annotations

from tests.bench.__main__ import planned
from tests.bench.machine import longest_stall_ms


def test_slow_scenarios_run_once_and_varying_ones_between() -> None:
    """
    Slow scenarios run in the first round only; varying ones also run between two rounds.
    """
    chosen = ("latency", "matching", "large_scale")

    assert planned(chosen, 3, between=True) == [
        ["latency", "matching", "large_scale"],
        ["latency"],
        ["latency", "matching"],
        ["latency"],
        ["latency", "matching"],
    ]
    assert planned(chosen, 1, between=True) == [list(chosen)]


def test_given_number_of_rounds_is_kept() -> None:
    """
    Nothing runs between rounds if their number is given or no scenario varies.
    """
    assert planned(("latency",), 2, between=False) == [["latency"], ["latency"]]
    assert planned(("matching",), 3, between=True) == [["matching"]] * 3


def test_stall_is_measured() -> None:
    """
    Time passes between two readings of the clock.
    """
    assert 0 < longest_stall_ms(0.01) < 10_000

"""
Which scenarios of the benchmark are run when.
"""

from __future__ import annotations

from tests.bench.__main__ import planned
from tests.bench.machine import longest_stall_ms


def test_slow_ones_are_run_once_and_restless_ones_between() -> None:
    """
    Three rounds and two short ones between them; a single round is all there is.
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


def test_as_many_rounds_as_were_asked_for() -> None:
    """
    With a number of rounds, or without a restless scenario, nothing is run between.
    """
    assert planned(("latency",), 2, between=False) == [["latency"], ["latency"]]
    assert planned(("matching",), 3, between=True) == [["matching"]] * 3


def test_stall_is_seen() -> None:
    """
    Between two looks at the clock some time passes always.
    """
    assert 0 < longest_stall_ms(0.01) < 10_000

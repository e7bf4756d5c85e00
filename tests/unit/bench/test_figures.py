"""
The figures of the benchmark.
"""

from __future__ import annotations

from tests.bench.figures import judged, percentile, reaches, summary, table


def test_percentiles_of_sorted_values() -> None:
    """
    A percentile is one of the values; of nothing there is none.
    """
    values = [float(it) for it in range(1, 101)]

    assert (percentile(values, 50), percentile(values, 99)) == (51.0, 100.0)
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) is None


def test_samples_become_median_minimum_and_maximum() -> None:
    """
    A figure of several rounds shows its spread.
    """
    figures = summary({"a": [3.0, 1.0, 2.0], "b": []})

    assert figures == {"a": {"median": 2.0, "min": 1.0, "max": 3.0, "rounds": 3}}


def test_targets_point_in_their_direction() -> None:
    """
    Throughput has to be high, costs have to be low, and other figures have no target.
    """
    assert reaches("deliveries_per_second_postgres", 4000) is True
    assert reaches("dispatcher_cpu_us_per_delivery", 201) is False
    assert reaches("memory_mb", 1) is None


def test_table_says_why_a_figure_is_missing() -> None:
    """
    Nothing is left out silently.
    """
    rows = list(table({"ratio_to_wrk_cpu": {"median": None, "reason": "wrk is not installed"}}))

    assert "wrk is not installed" in rows[-1]


def test_figures_have_their_target_and_whether_it_is_reached() -> None:
    """
    The result says what was asked for; of what could not be measured it says neither yes nor no.
    """
    figures = judged(
        {
            "ratio_to_naive": {"median": 14.0},
            "ratio_to_wrk_cpu": {"median": None, "reason": "wrk is not installed"},
            "memory_mb": {"median": 80.0},
        }
    )

    assert figures["ratio_to_naive"] == {"median": 14.0, "target": ">= 15", "reached": False}
    assert figures["ratio_to_wrk_cpu"]["reached"] is None
    assert figures["memory_mb"] == {"median": 80.0}

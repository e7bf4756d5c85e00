"""
Figures of the benchmark.
"""

from __future__ import annotations

from tests.bench.figures import percentile, reaches, summary, table, with_targets


def test_percentiles_of_sorted_values() -> None:
    """
    A percentile is one of the values; without values it is None.
    """
    values = [float(it) for it in range(1, 101)]

    assert (percentile(values, 50), percentile(values, 99)) == (51.0, 100.0)
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) is None


def test_samples_become_median_minimum_and_maximum() -> None:
    """
    Samples become median, minimum, maximum and the number of rounds; empty ones are left out.
    """
    figures = summary({"a": [3.0, 1.0, 2.0], "b": []})

    assert figures == {"a": {"median": 2.0, "min": 1.0, "max": 3.0, "rounds": 3}}


def test_target_is_a_minimum_or_a_maximum() -> None:
    """
    A target is a minimum or a maximum; other figures have none.
    """
    assert reaches("deliveries_per_second_postgres", 4000) is True
    assert reaches("dispatcher_cpu_us_per_delivery", 201) is False
    assert reaches("memory_mb", 1) is None


def test_table_says_why_a_figure_is_missing() -> None:
    """
    The table has a row with the reason for a missing figure.
    """
    rows = list(table({"ratio_to_wrk_cpu": {"median": None, "reason": "wrk is not installed"}}))

    assert "wrk is not installed" in rows[-1]


def test_figures_have_their_target_and_whether_it_is_reached() -> None:
    """
    A figure has its target and whether it is reached; None if it was not measured.
    """
    figures = with_targets(
        {
            "ratio_to_naive": {"median": 14.0},
            "ratio_to_wrk_cpu": {"median": None, "reason": "wrk is not installed"},
            "memory_mb": {"median": 80.0},
        }
    )

    assert figures["ratio_to_naive"] == {"median": 14.0, "target": ">= 15", "reached": False}
    assert figures["ratio_to_wrk_cpu"]["reached"] is None
    assert figures["memory_mb"] == {"median": 80.0}

"""
The figures of several processes as those of one.
"""

from __future__ import annotations

import pytest

from service_runtime.observability.merged_metrics import Family, How, MergedMetrics, Sample, merged

Values = dict[tuple[str, str], float]


def counter(created: float, **results: float) -> Family:
    """
    Make a counter with a label, as a process tells it.
    """
    samples = [
        sample
        for result, value in results.items()
        for sample in (
            Sample("attempts_total", {"result": result}, value),
            Sample("attempts_created", {"result": result}, created),
        )
    ]
    return Family("attempts", "Attempts.", "counter", "sum", samples)


def gauge(value: float, how: How = "sum") -> Family:
    """
    Make a gauge.
    """
    return Family("waiting", "Waiting.", "gauge", how, [Sample("waiting", {}, value)])


def values(families: list[Family]) -> Values:
    """
    Return the values by name and label.
    """
    return {
        (sample.name, sample.labels.get("result", "")): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_are_summed_by_label() -> None:
    """
    Each series is the sum of its own, whichever processes have it; it began with the first.
    """
    both = values(merged([[counter(5, success=3)], [counter(2, success=4, timeout=1)]]))

    assert both["attempts_total", "success"] == 7
    assert both["attempts_total", "timeout"] == 1
    assert both["attempts_created", "success"] == 2


@pytest.mark.parametrize(("how", "result"), [("sum", 5), ("max", 3), ("min", 2)])
def test_gauges_are_merged_as_they_say(how: How, result: float) -> None:
    """
    What each process has for itself is summed, what all see whole is not.
    """
    assert values(merged([[gauge(3, how)], [gauge(2, how)]])) == {("waiting", ""): result}


def test_counters_of_ended_processes_stay_and_their_gauges_go() -> None:
    """
    A counter never falls when a worker dies and another begins at nothing.
    """
    metrics = MergedMetrics()
    metrics.end([counter(1, success=10), gauge(4)])
    metrics.end([counter(2, success=5), gauge(4)])

    assert values(metrics.with_living([]))["attempts_total", "success"] == 15
    now = values(metrics.with_living([[counter(3, success=1), gauge(2)]]))
    assert now["attempts_total", "success"] == 16
    assert now["attempts_created", "success"] == 1
    assert now["waiting", ""] == 2


def test_histograms_are_summed_by_bucket() -> None:
    """
    Buckets, counts and sums add up, so that quantiles are those of all calls.
    """

    def calls(fast: float, all_: float) -> Family:
        samples = [
            Sample("calls_bucket", {"result": "0.1"}, fast),
            Sample("calls_bucket", {"result": "+Inf"}, all_),
            Sample("calls_sum", {}, all_ / 10),
        ]
        return Family("calls", "Calls.", "histogram", "sum", samples)

    metrics = MergedMetrics()
    metrics.end([calls(1, 2)])

    assert values(metrics.with_living([[calls(3, 4)], [calls(0, 4)]])) == {
        ("calls_bucket", "0.1"): 4,
        ("calls_bucket", "+Inf"): 10,
        ("calls_sum", ""): 1,
    }

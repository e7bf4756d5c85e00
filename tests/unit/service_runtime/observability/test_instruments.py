"""
Metrics as plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from service_runtime.observability import instruments
from service_runtime.observability.instruments import (
    DECLARED,
    REGISTRY,
    Counter,
    Declaration,
    Distribution,
    Gauge,
    Histogram,
    declare,
)
from service_runtime.observability.merged_metrics import merged
from service_runtime.observability.metrics import families, show_build, show_keys
from tests.support.figures import figure, moved, read_figures


@pytest.fixture
def names() -> Iterator[list[str]]:
    """
    Yield names for metrics, which are forgotten at the end.
    """
    known = set(DECLARED)
    yield ["tests_first", "tests_second"]
    for name in set(DECLARED) - known:
        collector = next(
            it
            for it in list(REGISTRY._collector_to_names)
            if getattr(getattr(it, "declaration", None), "name", "") == name
        )
        REGISTRY.unregister(collector)
        del DECLARED[name]


def shown(prefix: str) -> dict[str, float]:
    """
    Return what Prometheus gets of the metrics whose names begin so.
    """
    figures = read_figures(generate_latest(REGISTRY).decode())
    return {name: value for name, value in figures.items() if name.startswith(prefix)}


def test_counter_without_labels_is_shown_from_the_start(names: list[str]) -> None:
    """
    A rate needs the zero before the first event; with labels their values are not known before.
    """
    plain, labelled = Counter(names[0], "."), Counter(names[1], ".", ("kind",))
    assert shown("tests_") == {"tests_first_total": 0.0}

    plain.add(count=3)
    labelled.add("a")
    labelled.add("a", count=2)

    assert shown("tests_") == {"tests_first_total": 3.0, 'tests_second_total{kind="a"}': 3.0}


def test_histogram_counts_values_up_to_each_bound(names: list[str]) -> None:
    """
    A value that equals a bound lies within it, as Prometheus has it.
    """
    histogram = Histogram(names[0], ".", ("phase",), bounds=(1, 2.5))
    for value in (0.5, 1, 2, 7):
        histogram.of("dns").observe(value)

    assert shown("tests_") == {
        'tests_first_bucket{le="1.0",phase="dns"}': 2.0,
        'tests_first_bucket{le="2.5",phase="dns"}': 3.0,
        'tests_first_bucket{le="+Inf",phase="dns"}': 4.0,
        'tests_first_count{phase="dns"}': 4.0,
        'tests_first_sum{phase="dns"}': 10.5,
    }


def test_gauge_is_shown_while_it_has_a_value(names: list[str]) -> None:
    """
    A number that makes no sense, as the days left of no certificate, is no 0: it would alarm.
    """
    gauge = Gauge(names[0], ".", ("pool",))
    assert shown("tests_") == {}
    gauge.read_with(lambda: {("main",): 2.0, ("bulk",): 1.0})
    assert shown("tests_") == {
        'tests_first{pool="main"}': 2.0,
        'tests_first{pool="bulk"}': 1.0,
    }

    gauge.read_with(lambda: None)

    assert shown("tests_") == {}
    assert b"tests_first" not in generate_latest(REGISTRY)


def test_metrics_of_several_processes_are_summed(names: list[str]) -> None:
    """
    Counters and buckets are added; a gauge is merged as it was declared.
    """
    Counter(names[0], ".").add(count=2)
    histogram = Histogram("tests_seconds", ".", bounds=(1,))
    histogram.of().observe(0.5)
    Gauge(names[1], ".", how="min").read_with(lambda: 7)
    own = families()

    both = {
        sample.name + sample.labels.get("le", ""): sample.value
        for family in merged([own, own])
        for sample in family.samples
        if sample.name.startswith("tests_")
    }

    assert both["tests_first_total"] == 4
    assert both["tests_seconds_bucket1.0"] == 2
    assert both["tests_seconds_sum"] == 1
    assert both["tests_second"] == 7


def test_name_is_declared_once() -> None:
    """
    Two metrics of one name would be one for Prometheus.
    """
    with pytest.raises(ValueError, match="declared twice"):
        declare(Declaration("webhooks_rpc_calls", "counter", "."))


def test_bounds_rise() -> None:
    """
    A histogram looks for the first bound that is not exceeded.
    """
    for collector in list(REGISTRY._collector_to_names):
        if isinstance(collector, instruments.Histogram):
            assert sorted(set(collector._bounds)) == list(collector._bounds)


def test_build_and_keys_are_labels_of_ones() -> None:
    """
    What runs, and which keys encrypt and decrypt, is told by labels.
    """
    show_build("dispatch")
    show_keys("2026-11", ["2025-11"])

    assert any('service="dispatch"' in name for name in shown("webhooks_build_info"))
    assert figure("webhooks_encryption_key_info", key="2026-11", use="encrypts") == 1
    assert figure("webhooks_encryption_key_info", key="2025-11", use="decrypts") == 1


def test_moved_figures_are_differences() -> None:
    """
    Other tests of the same process may have moved a counter before.
    """
    with moved("webhooks_worker_restarts_total") as restarts:
        assert restarts() == 0


def test_values_of_a_batch_are_counted_as_one_by_one() -> None:
    """
    A batch is only faster.
    """
    values = [0.5, 1, 1.5, 2.5, 7, 0.5]
    one_by_one, together = Distribution((1, 2.5)), Distribution((1, 2.5))
    for value in values:
        one_by_one.observe(value)

    together.observe_all(values)
    together.observe_all([])

    assert together.buckets() == one_by_one.buckets()

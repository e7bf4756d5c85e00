"""
Metrics that cost little: plain numbers without a lock, which the event loop alone raises.

Each is declared once, with the name, the labels and the meaning that the documentation repeats.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.registry import Collector

from service_runtime.observability.merged_metrics import How

Kind = Literal["counter", "gauge", "histogram"]
Service = Literal["both", "config", "dispatch"]

Labels = tuple[str, ...]
"""
The values of the labels of a sample, in the order of their names.
"""

REGISTRY = CollectorRegistry()

DECLARED: dict[str, Declaration] = {}
"""
All metrics by their names, without the suffixes that Prometheus gives to samples.
"""

LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""
The bounds of histograms of what takes milliseconds, and seconds if something is wrong.
"""


@dataclass(frozen=True, slots=True)
class Declaration:
    """
    What is known of a metric before it is measured. *how* says how gauges of several processes
    are merged.
    """

    name: str
    kind: Kind
    meaning: str
    labels: Labels = ()
    how: How = "sum"
    service: Service = "both"

    @property
    def shown_name(self) -> str:
        """
        The name by which Prometheus finds it.
        """
        return f"{self.name}_total" if self.kind == "counter" else self.name


def declare(declaration: Declaration) -> Declaration:
    """
    Keep a declaration for the documentation. Raises `ValueError` for a name that is taken.
    """
    if declaration.name in DECLARED:
        raise ValueError(f"{declaration.name} is declared twice")
    DECLARED[declaration.name] = declaration
    return declaration


class _Instrument(Collector):
    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declare(declaration)
        REGISTRY.register(self)

    def collect(self) -> Iterable[PrometheusMetric]:
        raise NotImplementedError


class Counter(_Instrument):
    """
    A number that only grows, or one for each combination of the values of *labels*.
    """

    def __init__(
        self, name: str, meaning: str, labels: Labels = (), service: Service = "both"
    ) -> None:
        super().__init__(Declaration(name, "counter", meaning, labels, service=service))
        self._counts: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, *values: str, count: float = 1) -> None:
        """
        Count so many more, with these values of the labels.
        """
        self._counts[values] = self._counts.get(values, 0) + count

    def collect(self) -> Iterable[PrometheusMetric]:
        about = self.declaration
        family = CounterMetricFamily(about.name, about.meaning, labels=about.labels)
        for values, count in self._counts.copy().items():
            family.add_metric(values, count)
        yield family


class Distribution:
    """
    How many of the observed values lie below each of *bounds*, and their sum.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """
        Count a value.
        """
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def observe_all(self, values: Sequence[float]) -> None:
        """
        Count the values of a batch: for many of them this takes half as long.
        """
        counts = self._counts
        for index in map(bisect_left, repeat(self._bounds), values):
            counts[index] += 1
        self._sum += sum(values)

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """
        Return the number of values up to each bound, with the bound as text, and the sum.
        """
        texts = [*map(str, map(float, self._bounds)), "+Inf"]
        return list(zip(texts, accumulate(self._counts.copy()), strict=True)), self._sum


class Histogram(_Instrument):
    """
    The distribution of a value, or one for each combination of the values of *labels*.
    """

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Labels = (),
        service: Service = "both",
        *,
        bounds: Sequence[float] = LATENCY_SECONDS,
    ) -> None:
        super().__init__(Declaration(name, "histogram", meaning, labels, service=service))
        self._bounds = bounds
        self._distributions: dict[Labels, Distribution] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> Distribution:
        """
        Return the distribution with these values of the labels. Keep it where values come often.
        """
        known = self._distributions.get(values)
        if known is None:
            known = self._distributions[values] = Distribution(self._bounds)
        return known

    def collect(self) -> Iterable[PrometheusMetric]:
        about = self.declaration
        family = HistogramMetricFamily(about.name, about.meaning, labels=about.labels)
        for values, distribution in self._distributions.copy().items():
            family.add_metric(values, *distribution.buckets())
        yield family


Read = Callable[[], float | Mapping[Labels, float] | None]
"""
Returns the value of a gauge now, or one for each combination of the values of its labels; None
where there is none.
"""


class Gauge(_Instrument):
    """
    A number that is read when it is asked for; it is not shown before `read_with` was called.
    """

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Labels = (),
        service: Service = "both",
        *,
        how: How = "sum",
    ) -> None:
        super().__init__(Declaration(name, "gauge", meaning, labels, how, service))
        self._read: Read = lambda: None

    def read_with(self, read: Read) -> None:
        """
        Have *read* called at each scrape, by a thread of the listener or by the event loop.
        """
        self._read = read

    def collect(self) -> Iterable[PrometheusMetric]:
        value = self._read()
        if value is None:
            return
        about = self.declaration
        family = GaugeMetricFamily(about.name, about.meaning, labels=about.labels)
        for values, number in (value if isinstance(value, Mapping) else {(): value}).items():
            family.add_metric(values, number)
        yield family

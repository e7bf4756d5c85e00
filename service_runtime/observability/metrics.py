"""
Metrics for operators, in the format of Prometheus. Labels hold no customer, no URL and no
secret.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from service_runtime.observability.merged_metrics import Family, How, Sample
from service_runtime.observability.metrics_listener import MetricsServer

Stop = Callable[[], None]
"""
Stops the listener.
"""

REGISTRY = CollectorRegistry(auto_describe=True)

CALLS = Counter(
    "webhooks_rpc_calls", "Calls served, by method and code.", ["method", "code"], registry=REGISTRY
)
CALL_SECONDS = Histogram(
    "webhooks_rpc_call_seconds",
    "How long calls took.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
    registry=REGISTRY,
)
REFUSALS = Counter(
    "webhooks_rpc_refusals",
    "Calls refused before their method saw them, by reason.",
    ["reason"],
    registry=REGISTRY,
)
EVENTS = Counter("webhooks_events_accepted", "Events that were committed.", registry=REGISTRY)
SHARE_REFUSALS = Counter(
    "webhooks_share_refusals",
    "Refusals with BACKLOG_FULL of an owner that had its share, while others were served.",
    registry=REGISTRY,
)
SQL_ROUND_TRIPS = Counter(
    "webhooks_sql_round_trips",
    "Statements, and beginnings and ends of transactions, that the database was asked for.",
    registry=REGISTRY,
)
PRUNED = Counter(
    "webhooks_rows_pruned",
    "Rows that were taken away because they were past their retention, by kind.",
    ["kind"],
    registry=REGISTRY,
)
BACKGROUND_ERRORS = Counter(
    "webhooks_background_errors",
    "Errors after which background work went on without the item, by log event.",
    ["event"],
    registry=REGISTRY,
)
FEED_RESTARTS = Counter(
    "webhooks_feed_restarts",
    "Times that the feed had to begin with a snapshot again, by reason.",
    ["reason"],
    registry=REGISTRY,
)
ALARMING_SNAPSHOTS = Counter(
    "webhooks_feed_alarming_snapshots",
    "Snapshots that lacked more than a tenth of the known subscriptions, and more than ten.",
    registry=REGISTRY,
)
CERTIFICATE_DAYS = Gauge(
    "webhooks_client_certificate_days",
    "Days until the first client certificate expires.",
    registry=REGISTRY,
)

_HOW: dict[str, How] = {"webhooks_client_certificate_days": "min"}


class Tally(Collector):
    """
    A counter with one label, for events that happen thousands of times a second.

    Only a single thread may raise it; counters of the library take a lock each time.
    """

    def __init__(self, name: str, meaning: str, label: str, registry: CollectorRegistry) -> None:
        self._about = (name, meaning, label)
        self._counts: dict[str, int] = {}
        registry.register(self)

    def add(self, value: str) -> None:
        self._counts[value] = self._counts.get(value, 0) + 1

    def collect(self) -> Iterable[Metric]:
        name, meaning, label = self._about
        family = CounterMetricFamily(name, meaning, labels=[label])
        for value, count in self._counts.copy().items():
            family.add_metric([value], count)
        yield family


ATTEMPTS = Tally(
    "webhooks_attempts",
    "Attempts, by what they came to: success or the kind of the failure.",
    "result",
    REGISTRY,
)


def count_attempt(failure_kind: str | None) -> None:
    """
    Count an attempt by its result.
    """
    ATTEMPTS.add(failure_kind or "success")


def measure_call(method: str, code: str, seconds: float) -> None:
    """
    Count a call. Methods are those of the contract, so there are few labels.
    """
    calls, call_seconds = _calls(method, code)
    calls.inc()
    call_seconds.observe(seconds)


def count_refusal(reason: str) -> None:
    """
    Count a call that was refused before its method saw it.
    """
    _refusals(reason).inc()


@cache
def _refusals(reason: str) -> Counter:
    return REFUSALS.labels(reason)


@cache
def _calls(method: str, code: str) -> tuple[Counter, Histogram]:
    return CALLS.labels(method, code), CALL_SECONDS.labels(method)


def gauge(name: str, meaning: str, read: Callable[[], float], how: How = "sum") -> None:
    """
    Register a gauge, once for each name; *read* returns its value at each scrape.

    *how* says how the gauges of several workers are merged.
    """
    _HOW[name] = how
    if name not in REGISTRY._names_to_collectors:  # noqa: SLF001 - there is no public way to ask
        Gauge(name, meaning, registry=REGISTRY).set_function(read)


def families() -> list[Family]:
    """
    Return the metrics of this process, to be merged with those of others.
    """
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            _HOW.get(metric.name, "sum"),
            [Sample(sample.name, sample.labels, sample.value) for sample in metric.samples],
        )
        for metric in REGISTRY.collect()
    ]


class FamiliesCollector(Collector):
    """
    Collects the metrics that *read* returns, in a thread of the listener.
    """

    def __init__(self, read: Callable[[], Sequence[Family]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        for family in self._read():
            metric = Metric(family.name, family.meaning, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric


def serve(listen: str, registry: CollectorRegistry = REGISTRY) -> Stop:
    """
    Serve the metrics over HTTP on *listen*, `host:port`; return the function that stops it.

    Raises `OSError` if another process listens there.
    """
    host, _, port = listen.rpartition(":")
    server = MetricsServer(host.strip("[]"), int(port), registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop

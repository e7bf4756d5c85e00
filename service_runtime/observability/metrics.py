"""
Metrics for operators, in the format of Prometheus: those that both services have, and their
listener. Labels hold no customer, no URL and no secret.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service_runtime.observability.instruments import (
    DECLARED,
    REGISTRY,
    Counter,
    Declaration,
    Gauge,
    Histogram,
    Labels,
    declare,
)
from service_runtime.observability.merged_metrics import Family, How, Sample
from service_runtime.observability.metrics_listener import MetricsServer

Stop = Callable[[], None]
"""
Stops the listener.
"""

DISTRIBUTION = "shipedge-webhooks"

CALLS = Counter("webhooks_rpc_calls", "Calls served, by method and code.", ("method", "code"))
CALL_SECONDS = Histogram(
    "webhooks_rpc_call_seconds",
    "How long calls took.",
    ("method",),
    bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
)
REFUSALS = Counter(
    "webhooks_rpc_refusals",
    "Calls refused before their method saw them, by reason.",
    ("reason",),
)
CONNECTIONS = Gauge(
    "webhooks_connections",
    "Open connections of the gRPC listener, of all processes that share it.",
    how="max",
)
TOKEN_CONNECTIONS = Gauge(
    "webhooks_token_connections",
    "Open connections of the listener for tokens, of all processes that share it.",
    how="max",
)
BACKGROUND_ERRORS = Counter(
    "webhooks_background_errors",
    "Errors after which background work went on without the item, by log event.",
    ("event",),
)
TLS_CERTIFICATE_DAYS = Gauge(
    "webhooks_tls_certificate_days",
    "Days until the service's own certificate, or one of its chain, expires; none without TLS.",
    how="min",
)
ENCRYPTION_KEYS = Gauge(
    "webhooks_encryption_key_info",
    "1 for each key of `SHIPEDGE_ENCRYPTION_KEYS`, with its id; the first `encrypts`, the others"
    " only `decrypt`.",
    ("key", "use"),
    how="max",
)
SERVING = Gauge(
    "webhooks_serving", "Processes whose health is SERVING; calls are refused or fail at 0."
)
BUILD = Gauge(
    "webhooks_build_info",
    "Always 1, with the versions of the service and of Python.",
    ("service", "version", "python"),
    how="max",
)
LOOP_LAG = Histogram(
    "webhooks_event_loop_lag_seconds",
    "How late the event loop came to a timer, four times a second: a busy loop delays everything.",
)
DATABASE_CONNECTIONS = Gauge(
    "webhooks_database_connections",
    "Connections to the database: `in_use`, those that are kept for one task included, or `idle`."
    " The pool `bulk` is for statements that concern many rows.",
    ("pool", "state"),
)
DATABASE_LIMIT = Gauge(
    "webhooks_database_connections_limit",
    "The most connections that the pools of all processes may open.",
    ("pool",),
)
STATEMENT_SECONDS = Histogram(
    "webhooks_database_statement_seconds",
    "How long SQL statements took, as the service sees it, those that failed included.",
    ("pool",),
)
SQL_ROUND_TRIPS = Counter(
    "webhooks_sql_round_trips",
    "Statements, and beginnings and ends of transactions, that the database was asked for.",
)

_OF_PROCESS: tuple[tuple[str, str, How], ...] = (
    ("process_virtual_memory_bytes", "Virtual memory.", "sum"),
    ("process_resident_memory_bytes", "Memory in use.", "sum"),
    ("process_start_time_seconds", "When the process started, in Unix time.", "min"),
    ("process_max_fds", "The limit of open files.", "min"),
    ("process_open_fds", "Open files and connections.", "sum"),
)
declare(Declaration("process_cpu_seconds", "counter", "Processor time used."))
for _name, _meaning, _how in _OF_PROCESS:
    declare(Declaration(_name, "gauge", _meaning, how=_how))
ProcessCollector(registry=REGISTRY)

_OTHER = Declaration("", "gauge", "")


def show_build(service: str) -> None:
    """
    Offer the version of *service*.
    """
    about = (service, version(DISTRIBUTION), platform.python_version())
    BUILD.read_with(lambda: {about: 1.0})


def show_keys(first: str, others: Iterable[str]) -> None:
    """
    Offer the ids of the keys of the key ring.
    """
    uses: dict[Labels, float] = {(first, "encrypts"): 1.0}
    uses |= {(key, "decrypts"): 1.0 for key in others}
    ENCRYPTION_KEYS.read_with(lambda: uses)


def measure_call(method: str, code: str, seconds: float) -> None:
    """
    Count a call. Methods are those of the contract, so there are few labels.
    """
    CALLS.add(method, code)
    CALL_SECONDS.of(method).observe(seconds)


def count_refusal(reason: str) -> None:
    """
    Count a call that was refused before its method saw it.
    """
    REFUSALS.add(reason)


def families() -> list[Family]:
    """
    Return the metrics of this process, to be merged with those of others.
    """
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            DECLARED.get(metric.name, _OTHER).how,
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

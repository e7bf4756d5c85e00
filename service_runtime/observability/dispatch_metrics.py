"""
The metrics of the dispatch service: from the arrival of an event to the end of its deliveries.

What happens to each delivery is observed for a whole batch, after its commit.
"""

from __future__ import annotations

import time
from typing import Literal

from service_runtime.observability.instruments import Counter, Gauge, Histogram

Batch = Literal["commit", "claim", "settle", "release"]

_WAITS_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    *(60, 300, 1800, 7200, 21_600, 86_400, 345_600),
)
_ITEMS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)

EVENTS = Counter("webhooks_events_accepted", "Events that were committed.", service="dispatch")
EVENTS_REFUSED = Counter(
    "webhooks_events_refused",
    "Events that were answered with an error, by its reason; those of a call that was refused as"
    " a whole are in `webhooks_rpc_calls_total` too.",
    ("reason",),
    "dispatch",
)
SHARE_REFUSALS = Counter(
    "webhooks_share_refusals",
    "Refusals with BACKLOG_FULL of an owner that had its share, while others were served.",
    service="dispatch",
)
EVENTS_WAITING = Gauge(
    "webhooks_events_waiting", "Events that wait for their commit.", service="dispatch"
)

FIRST_ATTEMPT_SECONDS = Histogram(
    "webhooks_publish_to_first_attempt_seconds",
    "From the arrival of an event to the start of the first attempt of a delivery.",
    service="dispatch",
    bounds=_WAITS_SECONDS,
)
SUCCESS_SECONDS = Histogram(
    "webhooks_publish_to_success_seconds",
    "From the arrival of an event to the confirmation of its receiver, retries included; without"
    " resends and tests.",
    service="dispatch",
    bounds=_WAITS_SECONDS,
)
ATTEMPTS = Counter(
    "webhooks_attempts",
    "Attempts, by what they came to: success or the kind of the failure.",
    ("result",),
    "dispatch",
)
PHASE_SECONDS = Histogram(
    "webhooks_attempt_phase_seconds",
    "How long the steps of attempts took: `dns`, `connect` and `tls` where a connection was"
    " opened, then `first_byte` and `total` from the beginning of the request.",
    ("phase",),
    "dispatch",
)
DELIVERIES_ENDED = Counter(
    "webhooks_deliveries_ended",
    "Deliveries that ended, by state and, unless they succeeded, why; without those that were"
    " cancelled while an attempt was being made.",
    ("state", "failure_kind"),
    "dispatch",
)
BREAKER_CHANGES = Counter(
    "webhooks_breaker_changes",
    "Circuit breakers of endpoints that were `opened` by outcomes in this process, or `closed`.",
    ("change",),
    "dispatch",
)
LEASES_TAKEN_OVER = Counter(
    "webhooks_leases_taken_over",
    "Deliveries that were claimed because the lease of an attempt had expired: its process died"
    " or stood still, and the receiver may get the request twice.",
    service="dispatch",
)
LATE_RESULTS = Counter(
    "webhooks_results_late",
    "Results that came after the lease had been lost; the receiver may get the request twice.",
    service="dispatch",
)

BATCH_ITEMS = Histogram(
    "webhooks_batch_items",
    "Sizes of batches: events of a `commit`, deliveries of a `claim`, results of a `settle`, and"
    " leases of a `release`.",
    ("kind",),
    "dispatch",
    bounds=_ITEMS,
)
BATCH_SECONDS = Histogram(
    "webhooks_batch_seconds",
    "How long the database took for such a batch, its commit included.",
    ("kind",),
    "dispatch",
)

QUEUE = Gauge(
    "webhooks_queue_deliveries",
    "Unfinished deliveries as of the last count: `delivering`, or why they wait. At most a million"
    " are looked at.",
    ("state",),
    "dispatch",
    how="max",
)
UNFINISHED = Gauge(
    "webhooks_deliveries_unfinished",
    "Deliveries that have not ended, as of the last count and what was stored and ended since.",
    service="dispatch",
    how="max",
)
OLDEST_DUE_SECONDS = Gauge(
    "webhooks_oldest_due_seconds",
    "How long the delivery that waits longest has been due, as of the last count.",
    service="dispatch",
    how="max",
)
IN_MEMORY = Gauge(
    "webhooks_deliveries_in_memory",
    "Deliveries that wait in memory or are being attempted.",
    service="dispatch",
)
RESULTS_WAITING = Gauge(
    "webhooks_results_waiting",
    "Results and releases that are not written yet.",
    service="dispatch",
)
OWNERS_WITH_SHARE = Gauge(
    "webhooks_owners_with_share",
    "Accounts and warehouses that have their share of open requests or of memory, or more.",
    service="dispatch",
    how="max",
)
OWNERS_WITH_FULL_LOG = Gauge(
    "webhooks_owners_with_full_log",
    "Accounts and warehouses of which the log keeps no more requests and responses today.",
    service="dispatch",
    how="max",
)
ENDPOINTS_DEGRADED = Gauge(
    "webhooks_endpoints_degraded",
    "Endpoints that get fewer requests, or none, because they are overloaded or not reached.",
    service="dispatch",
    how="max",
)
PRUNED = Counter(
    "webhooks_rows_pruned",
    "Rows that were taken away because they were past their retention, by kind.",
    ("kind",),
    "dispatch",
)

FEED_CONNECTED = Gauge(
    "webhooks_feed_connected",
    "1 while the feed of the configuration is open and has answered; the least of all processes.",
    service="dispatch",
    how="min",
)
FEED_REVISION = Gauge(
    "webhooks_feed_revision",
    "The applied revision of the configuration; the least of all processes. Compare it with"
    " `webhooks_config_revision`.",
    service="dispatch",
    how="min",
)
FEED_LAG_SECONDS = Gauge(
    "webhooks_feed_lag_seconds",
    "Seconds since the last answer of the feed was applied, of which one comes at least with each"
    " heartbeat; the most of all processes.",
    service="dispatch",
    how="max",
)
FEED_RESTARTS = Counter(
    "webhooks_feed_restarts",
    "Times that the feed had to begin with a snapshot again, by reason.",
    ("reason",),
    "dispatch",
)
ALARMING_SNAPSHOTS = Counter(
    "webhooks_feed_alarming_snapshots",
    "Snapshots that lacked more than a tenth of the known subscriptions, and more than ten.",
    service="dispatch",
)
SUBSCRIPTIONS_HELD = Gauge(
    "webhooks_subscriptions_held",
    "Subscriptions that the config service no longer names, or that cannot be used.",
    service="dispatch",
    how="max",
)

WORKERS_CONFIGURED = Gauge(
    "webhooks_workers_configured",
    "Worker processes that should run; only with several.",
    service="dispatch",
)
WORKERS_RUNNING = Gauge(
    "webhooks_workers_running", "Worker processes that run; only with several.", service="dispatch"
)
WORKER_RESTARTS = Counter(
    "webhooks_worker_restarts",
    "Worker processes that ended although nobody had asked them to.",
    service="dispatch",
)


def observe_batch(kind: Batch, items: int, started: float) -> None:
    """
    Observe a batch that is written now and was *started* then, by the monotonic clock.
    """
    BATCH_ITEMS.of(kind).observe(items)
    BATCH_SECONDS.of(kind).observe(time.monotonic() - started)

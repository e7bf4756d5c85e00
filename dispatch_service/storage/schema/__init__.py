"""
The tables of the dispatch service. Every key begins with the owner (those of events with the
account), so that rows can be distributed by it.

Instants are timestamptz in PostgreSQL and integer microseconds in SQLite.
Sealed columns begin with the number of the day whose key sealed them.
"""

from dispatch_service.storage.schema.accepted import bodies, erasures, event_keys, events
from dispatch_service.storage.schema.actions import audit, audit_entries, request_ids
from dispatch_service.storage.schema.feed import (
    backlog_updates,
    endpoint_reports,
    feed_positions,
    feed_resources,
    feed_state,
    held_resources,
    subscription_health,
    subscription_overrides,
    url_challenges,
)
from dispatch_service.storage.schema.figures import attempt_figures, figure_positions
from dispatch_service.storage.schema.jobs import replay_jobs, resend_jobs
from dispatch_service.storage.schema.keys import day_keys
from dispatch_service.storage.schema.metadata import metadata
from dispatch_service.storage.schema.queue import (
    attempts,
    clock_steps,
    control_times,
    deliveries,
    dispatchers,
    endpoint_states,
    log_usage,
    sequences,
    suspect_attempts,
    urls,
)

__all__ = [
    "attempt_figures",
    "attempts",
    "audit",
    "audit_entries",
    "backlog_updates",
    "bodies",
    "clock_steps",
    "control_times",
    "day_keys",
    "deliveries",
    "dispatchers",
    "endpoint_reports",
    "endpoint_states",
    "erasures",
    "event_keys",
    "events",
    "feed_positions",
    "feed_resources",
    "feed_state",
    "figure_positions",
    "held_resources",
    "log_usage",
    "metadata",
    "replay_jobs",
    "request_ids",
    "resend_jobs",
    "sequences",
    "subscription_health",
    "subscription_overrides",
    "suspect_attempts",
    "url_challenges",
    "urls",
]

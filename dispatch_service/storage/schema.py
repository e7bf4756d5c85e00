"""
The tables of the dispatch service. Every key begins with the owner (those of
events with the account), so that rows can be distributed by it.

Instants are timestamptz in PostgreSQL and integer microseconds in SQLite.
Sealed columns begin with the number of the day whose key sealed them.
"""

from __future__ import annotations

import sqlalchemy as sa

from service_runtime.database.instants import Instant
from service_runtime.database.tables import NAMING_CONVENTION, UuidText, partial_index

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

day_keys = sa.Table(
    "day_keys",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    comment="One data key per UTC day (days since 1970), wrapped by the key ring.",
)

feed_state = sa.Table(
    "feed_state",
    metadata,
    sa.Column("feed_state_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("apply_time", Instant, nullable=False),
    sa.CheckConstraint("feed_state_id = 1", name="one_row"),
    comment="How far the feed was applied. No row: no snapshot was ever received.",
)

feed_resources = sa.Table(
    "feed_resources",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    comment="The last snapshot of the config service's resources, resealed.",
)

event_keys = sa.Table(
    "event_keys",
    metadata,
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("accept_time", Instant, nullable=False),
    sa.Index(None, "accept_time"),
    comment="The ids of accepted events: what makes publishing idempotent.",
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("domain_event", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("occurred_at", Instant, nullable=False),
    sa.Column("accept_time", Instant, nullable=False),
    sa.Column("match_state", sa.Text, nullable=False),
    sa.Column("warehouses", sa.Text),
    sa.Column("order_id", sa.BigInteger),
    sa.Column("email_hash", sa.LargeBinary),
    sa.Column("sealed_payload", sa.LargeBinary),
    sa.CheckConstraint("match_state IN ('MATCHED', 'PENDING_MATCH')", name="match_state"),
    sa.Index(None, "account", "accept_time"),
    partial_index("ix_events_order", "account", "order_id", where="order_id IS NOT NULL"),
    partial_index("ix_events_email", "account", "email_hash", where="email_hash IS NOT NULL"),
    partial_index("ix_events_pending_match", "accept_time", where="match_state = 'PENDING_MATCH'"),
    comment=(
        "Accepted events. A NULL payload was erased or is past its retention. warehouses is a"
        " JSON array of ids; order_id and the keyed hash of the customer's e-mail find what is"
        " to be erased."
    ),
)

bodies = sa.Table(
    "bodies",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("event_type", sa.Text, primary_key=True),
    sa.Column("payload_version", sa.Text, primary_key=True),
    sa.Column("sealed_body", sa.LargeBinary, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("body_bytes", sa.Integer, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Index(None, "owner", "create_time"),
    comment="Payloads, rendered once at accept and shared by an owner's deliveries.",
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("delivery_id", UuidText, primary_key=True),
    sa.Column("account", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("payload_version", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("url_shown", sa.Text, nullable=False),
    sa.Column("url_hash", sa.LargeBinary, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("occurred_at", Instant, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("due_time", Instant),
    sa.Column("expire_time", Instant, nullable=False),
    sa.Column("end_time", Instant),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_token", sa.BigInteger, nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("retries_used", sa.Integer, nullable=False),
    sa.Column("interrupted", sa.Integer, nullable=False),
    sa.Column("next_trigger", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text),
    sa.Column("sequence_position", sa.BigInteger),
    sa.Column("cancelled_by", sa.Text),
    sa.Column("failure_kind", sa.Text),
    sa.Column("response_code", sa.Integer),
    sa.UniqueConstraint("owner", "account", "event_id", "subscription"),
    sa.CheckConstraint(
        "state IN ('PENDING', 'DELIVERING', 'SUCCEEDED', 'FAILED', 'CANCELLED')", name="state"
    ),
    sa.CheckConstraint(
        "(state IN ('PENDING', 'DELIVERING')) = (end_time IS NULL)", name="ended_has_end_time"
    ),
    sa.CheckConstraint(
        "state <> 'DELIVERING' OR lease_owner IS NOT NULL", name="delivering_is_leased"
    ),
    sa.CheckConstraint("state <> 'PENDING' OR lease_owner IS NULL", name="pending_is_not_leased"),
    sa.CheckConstraint("lease_owner IS NULL OR due_time IS NOT NULL", name="leased_is_due"),
    sa.CheckConstraint(
        "state NOT IN ('FAILED', 'CANCELLED') OR due_time IS NULL", name="given_up_is_not_due"
    ),
    sa.CheckConstraint(
        "attempt_count >= 0 AND retries_used >= 0 AND interrupted >= 0", name="counts"
    ),
    sa.CheckConstraint("next_trigger IN ('EVENT', 'RETRY', 'RESEND', 'TEST')", name="next_trigger"),
    partial_index(
        "ix_deliveries_due", "owner", "endpoint", "due_time", where="due_time IS NOT NULL"
    ),
    partial_index("ix_deliveries_unfinished", "owner", "subscription", where="end_time IS NULL"),
    partial_index(
        "ix_deliveries_order",
        "owner",
        "subscription",
        "resource",
        "sequence_position",
        where="sequence_position IS NOT NULL AND end_time IS NULL",
    ),
    sa.Index(None, "owner", "create_time"),
    sa.Index("ix_deliveries_resource", "owner", "resource", "create_time"),
    comment=(
        "Events owed to subscriptions: the log and the queue in one. due_time is when the row"
        " may be claimed: the next attempt, the end of the lease of a leased row, or expire_time"
        " for a suspended row. A pending row without it waits behind an earlier sequence_position."
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("delivery_id", UuidText, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("payload_version", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("url_shown", sa.Text, nullable=False),
    sa.Column("url_hash", sa.LargeBinary, nullable=False),
    sa.Column("attempt_trigger", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("failure_kind", sa.Text),
    sa.Column("response_code", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("start_time", Instant, nullable=False),
    sa.Column("duration_us", sa.BigInteger),
    sa.Column("dns_us", sa.BigInteger),
    sa.Column("connect_us", sa.BigInteger),
    sa.Column("tls_us", sa.BigInteger),
    sa.Column("first_byte_us", sa.BigInteger),
    sa.Column("next_attempt_time", Instant),
    sa.Column("sealed_exchange", sa.LargeBinary),
    sa.Column("settle_time", Instant),
    sa.CheckConstraint("number >= 1", name="number"),
    sa.CheckConstraint("status IN ('SUCCESS', 'FAILURE', 'INTERRUPTED')", name="status"),
    sa.CheckConstraint("(status = 'SUCCESS') = (failure_kind IS NULL)", name="failed_has_kind"),
    sa.Index(None, "owner", "start_time"),
    sa.Index(None, "owner", "subscription", "start_time"),
    sa.Index(None, "owner", "url_hash", "start_time"),
    partial_index("ix_attempts_failures", "owner", "start_time", where="status <> 'SUCCESS'"),
    partial_index("ix_attempts_slow", "owner", "start_time", where="duration_us >= 1000000"),
    # Rows come in the order of this time, so that a few bytes for each block of them are enough.
    sa.Index("ix_attempts_settled", "settle_time", postgresql_using="brin"),
    comment="One row for each HTTP request, written with its result.",
)

request_ids = sa.Table(
    "request_ids",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Index(None, "create_time"),
    comment="The request ids of a day, which make manual actions idempotent.",
)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("audit_entry_id", UuidText, primary_key=True),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("changes", sa.Text, nullable=False),
    sa.Index(None, "owner", "create_time"),
    comment="What people did by hand, without secrets.",
)

sequences = sa.Table(
    "sequences",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("next_number", sa.BigInteger, nullable=False),
    sa.Column("head_number", sa.BigInteger, nullable=False),
    sa.CheckConstraint("head_number < next_number", name="has_waiting"),
    comment=(
        "The unfinished deliveries of an ordered subscription about one resource: the number"
        " that the next one gets, and that of the only one that may be sent now."
    ),
)

endpoint_states = sa.Table(
    "endpoint_states",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("endpoint", sa.Text, primary_key=True),
    sa.Column("open_until", Instant, nullable=False),
    sa.Column("trips", sa.Integer, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    sa.CheckConstraint("trips >= 1", name="trips"),
    comment="Endpoints whose breaker is open: nothing is claimed until open_until, then one probe.",
)

subscription_health = sa.Table(
    "subscription_health",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("failing_since", Instant, nullable=False),
    sa.Column("failed_attempts", sa.BigInteger, nullable=False),
    sa.Column("reported", sa.Boolean, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    comment="Subscriptions whose last attempt failed; one that succeeds takes the row away.",
)

subscription_overrides = sa.Table(
    "subscription_overrides",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.CheckConstraint("reason IN ('GONE', 'FAILING')", name="reason"),
    comment="Subscriptions that count as Inactive until a newer revision of them comes.",
)

backlog_updates = sa.Table(
    "backlog_updates",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text),
    sa.Column("ordered", sa.Boolean, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("due_time", Instant, nullable=False),
    sa.CheckConstraint("action IN ('RESUME', 'SUSPEND', 'CANCEL')", name="action"),
    sa.Index(None, "due_time"),
    comment=(
        "Changes of subscriptions that are still to be applied to the waiting deliveries, in"
        " batches: resume, suspend or cancel them, move them to endpoint unless it is NULL, and"
        " take them out of their sequences unless ordered."
    ),
)

endpoint_reports = sa.Table(
    "endpoint_reports",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("endpoint_event_id", sa.Text, primary_key=True),
    sa.Column("report", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Index(None, "create_time"),
    comment="Endpoint events that the config service has not confirmed yet.",
)

dispatchers = sa.Table(
    "dispatchers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("heartbeat_time", Instant, nullable=False),
    comment="The processes that deliver, to share limits among those that are alive.",
)

resend_jobs = sa.Table(
    "resend_jobs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("resend_job_id", UuidText, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("filter", sa.Text, nullable=False),
    sa.Column("names", sa.Text),
    sa.Column("force", sa.Boolean, nullable=False),
    sa.Column("rate_limit", sa.Integer, nullable=False),
    sa.Column("total_count", sa.BigInteger, nullable=False),
    sa.Column("resent_count", sa.BigInteger, nullable=False),
    sa.Column("skipped_count", sa.BigInteger, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("after_time", Instant),
    sa.Column("after_delivery_id", UuidText),
    sa.Column("due_time", Instant),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("end_time", Instant),
    sa.CheckConstraint("state IN ('RUNNING', 'SUCCEEDED', 'CANCELLED')", name="state"),
    sa.CheckConstraint("(state = 'RUNNING') = (end_time IS NULL)", name="ended_has_end_time"),
    sa.CheckConstraint("(state = 'RUNNING') = (due_time IS NOT NULL)", name="running_is_due"),
    sa.Index(None, "owner", "create_time"),
    partial_index("ix_resend_jobs_due", "due_time", where="due_time IS NOT NULL"),
    comment=(
        "Resends of many deliveries. names is a JSON array of ids, NULL where the filter chooses;"
        " what comes after (after_time, after_delivery_id) has not been looked at yet."
    ),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    comment="Events that are to be erased when their attempts in flight have ended.",
)

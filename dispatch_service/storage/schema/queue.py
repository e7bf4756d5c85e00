"""
The tables of deliveries and attempts: the queue and the log in one.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.database.instants import Instant
from service_runtime.database.tables import UuidText, partial_index

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
    sa.Column("wait_reason", sa.Text),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_token", sa.BigInteger, nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("retries_used", sa.Integer, nullable=False),
    sa.Column("interrupted", sa.Integer, nullable=False),
    sa.Column("next_trigger", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text),
    sa.Column("replayed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("sequence_position", sa.BigInteger),
    sa.Column("cancelled_by", sa.Text),
    sa.Column("failure_kind", sa.Text),
    sa.Column("response_code", sa.Integer),
    sa.Column("trace_parent", sa.Text),
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
    partial_index("ix_deliveries_failed", "owner", "create_time", where="state = 'FAILED'"),
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

urls = sa.Table(
    "urls",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("url_hash", sa.LargeBinary, primary_key=True),
    sa.Column("sealed_url", sa.LargeBinary, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    sa.Index(None, "update_time"),
    comment="The whole URLs of which deliveries and attempts hold the shown form and the hash.",
)

log_usage = sa.Table(
    "log_usage",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Index(None, "day"),
    comment=(
        "How many bytes of requests and responses attempts have kept, by the days since"
        " 1970-01-01; all processes add to it every few seconds."
    ),
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
    sa.Column("open_since", Instant),
    sa.Column("failure_kind", sa.Text),
    sa.Column("response_code", sa.Integer),
    sa.CheckConstraint("trips >= 1", name="trips"),
    comment="Endpoints whose breaker is open: nothing is claimed until open_until, then one probe.",
)

dispatchers = sa.Table(
    "dispatchers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("heartbeat_time", Instant, nullable=False),
    # It begins nothing while its heartbeats do not get through, so others may take over from it.
    sa.Column("stops_when_silent", sa.Boolean, nullable=False, server_default=sa.false()),
    comment="The processes that deliver, to share limits among those that are alive.",
)

suspect_attempts = sa.Table(
    "suspect_attempts",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("delivery_id", UuidText, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("process", sa.Text, nullable=False),
    sa.Column("start_time", Instant, nullable=False),
    comment=(
        "Attempts of deliveries that may kill the process, written before the request leaves and"
        " deleted with the result: what a dead process leaves counts against the delivery."
    ),
)

control_times = sa.Table(
    "control_times",
    metadata,
    sa.Column("process", sa.Text, primary_key=True),
    sa.Column("start_time", Instant, nullable=False),
    comment="Processes that have started and attempt no suspect yet, or have died before they did.",
)

clock_steps = sa.Table(
    "clock_steps",
    metadata,
    sa.Column("clock_step_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step_time", Instant, nullable=False),
    sa.Column("step_us", sa.BigInteger, nullable=False),
    comment="The last step of the database's clock: one row, by which one process moves times.",
)

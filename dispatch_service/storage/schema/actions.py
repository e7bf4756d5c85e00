"""
The tables of what people do by hand.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.audit.tables import audit_tables, chain_columns
from service_runtime.database.instants import Instant
from service_runtime.database.tables import UuidText, partial_index

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
    *chain_columns(),
    sa.Index(None, "owner", "create_time"),
    comment="What people did by hand, without secrets.",
)

audit = audit_tables(metadata, audit_entries)
"""
The audit log with its chain.
"""

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

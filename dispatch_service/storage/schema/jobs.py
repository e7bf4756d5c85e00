"""
The tables of jobs: work on many rows that somebody asked for.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.database.instants import Instant
from service_runtime.database.tables import UuidText, partial_index


def _progress() -> list[sa.Column[Any]]:
    """
    Make the columns of how far a job is.
    """
    return [
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("rate_limit", sa.Integer, nullable=False),
        sa.Column("total_count", sa.BigInteger, nullable=False),
        sa.Column("skipped_count", sa.BigInteger, nullable=False),
        sa.Column("failed_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("due_time", Instant),
        sa.Column("create_time", Instant, nullable=False),
        sa.Column("end_time", Instant),
        sa.Column("error", sa.LargeBinary),
    ]


def _rules(table: str) -> list[sa.CheckConstraint | sa.Index]:
    """
    Make the rules of those columns, and the index of the jobs that are due.
    """
    return [
        sa.CheckConstraint(
            "state IN ('RUNNING', 'SUCCEEDED', 'CANCELLED', 'FAILED')", name="state"
        ),
        sa.CheckConstraint("(state = 'RUNNING') = (end_time IS NULL)", name="ended_has_end_time"),
        sa.CheckConstraint("(state = 'RUNNING') = (due_time IS NOT NULL)", name="running_is_due"),
        sa.Index(None, "owner", "create_time"),
        partial_index(f"ix_{table}_due", "due_time", where="due_time IS NOT NULL"),
    ]


resend_jobs = sa.Table(
    "resend_jobs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("resend_job_id", UuidText, primary_key=True),
    sa.Column("filter", sa.Text, nullable=False),
    sa.Column("names", sa.Text),
    sa.Column("force", sa.Boolean, nullable=False),
    sa.Column("resent_count", sa.BigInteger, nullable=False),
    sa.Column("after_time", Instant),
    sa.Column("after_delivery_id", UuidText),
    *_progress(),
    *_rules("resend_jobs"),
    comment=(
        "Resends of many deliveries. names is a JSON array of ids, NULL where the filter chooses;"
        " what comes after (after_time, after_delivery_id) has not been looked at yet."
    ),
)

replay_jobs = sa.Table(
    "replay_jobs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("replay_job_id", UuidText, primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("accept_start_time", Instant, nullable=False),
    sa.Column("accept_end_time", Instant, nullable=False),
    sa.Column("kinds", sa.Text),
    sa.Column("events", sa.Text),
    sa.Column("succeeded_count", sa.BigInteger, nullable=False),
    sa.Column("after_time", Instant),
    *_progress(),
    *_rules("replay_jobs"),
    comment=(
        "Replays of accepted events to a subscription that lacks them. kinds is a JSON array of"
        " kinds of events, NULL for all; events one of pairs of an account and an event id, in the"
        " order of their acceptance, NULL where the span chooses. What was accepted after"
        " after_time has not been looked at yet."
    ),
)

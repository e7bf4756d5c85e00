"""
The tables of figures, which are made from the log.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.database.instants import Instant
from service_runtime.database.tables import partial_index

attempt_figures = sa.Table(
    "attempt_figures",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("start_time", Instant, primary_key=True),
    sa.Column("success_count", sa.BigInteger, nullable=False),
    sa.Column("failure_count", sa.BigInteger, nullable=False),
    sa.Column("interrupted_count", sa.BigInteger, nullable=False),
    sa.Column("last_success_time", Instant),
    sa.Column("last_failure_time", Instant),
    sa.Column("durations", sa.Text, nullable=False),
    sa.CheckConstraint("unit IN ('MINUTE', 'HOUR', 'DAY')", name="unit"),
    sa.Index(None, "unit", "start_time"),
    partial_index("ix_attempt_figures_failures", "unit", "start_time", where="failure_count > 0"),
    comment=(
        "The attempts of subscriptions that settled in a minute, hour or day of UTC. durations"
        " is a JSON object: how many lasted so long, by the lower bound in microseconds."
    ),
)

figure_positions = sa.Table(
    "figure_positions",
    metadata,
    sa.Column("figure_position_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("through_time", Instant, nullable=False),
    sa.Column("lease_owner", sa.Text, nullable=False),
    sa.Column("lease_expire_time", Instant, nullable=False),
    comment=(
        "Up to when settled attempts are in the figures, and the process that counts on: one row."
    ),
)

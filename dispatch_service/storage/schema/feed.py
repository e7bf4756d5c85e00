"""
The tables of the snapshot that the feed of the config service keeps current, and of the state
that the dispatch service keeps of subscriptions.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.database.instants import Instant

feed_state = sa.Table(
    "feed_state",
    metadata,
    sa.Column("feed_state_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("apply_time", Instant, nullable=False),
    sa.Column("digest", sa.LargeBinary),
    sa.CheckConstraint("feed_state_id = 1", name="one_row"),
    comment="How far the feed was applied. No row: no snapshot was ever received.",
)

feed_positions = sa.Table(
    "feed_positions",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("config_time", Instant),
    sa.Column("clock_offset_us", sa.BigInteger),
    sa.Column("update_time", Instant, nullable=False),
    comment=(
        "How far each process has matched its events with the changes of the feed: up to a"
        " revision, and up to config_time by the config service's database, whose clock is behind"
        " by clock_offset_us at least. The row of a process that has ended is taken over."
    ),
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

held_resources = sa.Table(
    "held_resources",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("hold_time", Instant, nullable=False),
    sa.Column("missed_since", Instant, nullable=False),
    sa.CheckConstraint("reason IN ('MISSING', 'UNUSABLE', 'RETURNED')", name="reason"),
    comment=(
        "Resources that the config service no longer names without having deleted them, or that"
        " cannot be used, since hold_time: their deliveries wait. One that has RETURNED is still"
        " to be matched with the events that it missed."
    ),
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
    sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("due_time", Instant, nullable=False),
    sa.CheckConstraint("action IN ('RESUME', 'SUSPEND', 'CANCEL')", name="action"),
    sa.Index(None, "due_time"),
    comment=(
        "Changes of subscriptions that are still to be applied to the waiting deliveries, in"
        " batches: resume, suspend or cancel them, move them to endpoint unless it is NULL, and"
        " take them out of their sequences unless ordered. held: the subscription is held, or"
        " its hold has ended."
    ),
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

url_challenges = sa.Table(
    "url_challenges",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("lease_time", Instant, nullable=False),
    sa.Column("end_time", Instant),
    comment=(
        "The revision of each subscription whose URL was last sent a challenge. Without end_time"
        " a process does so until lease_time; then another one may."
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

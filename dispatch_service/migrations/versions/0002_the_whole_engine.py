"""
what the whole delivery engine needs

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COMMENTS = {
    "deliveries": (
        "Events owed to subscriptions: the log and the queue in one. due_time is when the row"
        " may be claimed: the next attempt, or for a leased row the end of its lease."
        " A pending row without it is parked, or waits behind an earlier lane_number."
    ),
    "events": (
        "Accepted events. A NULL payload was erased or is past its retention. warehouses is a"
        " JSON array of ids; order_id and the keyed hash of the customer's e-mail find what is"
        " to be erased."
    ),
}


def upgrade() -> None:
    """
    Apply the revision.
    """
    if op.get_context().dialect.supports_comments:
        for table, comment in _COMMENTS.items():
            op.create_table_comment(table, comment)
    op.create_table(
        "dispatchers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("heartbeat_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dispatchers")),
        comment="The processes that deliver, to share limits among those that are alive.",
    )
    op.create_table(
        "endpoint_reports",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("endpoint_event_id", sa.Text(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "endpoint_event_id", name=op.f("pk_endpoint_reports")),
        comment="What the config service has not been told yet.",
    )
    op.create_index(
        op.f("ix_endpoint_reports_create_time"), "endpoint_reports", ["create_time"], unique=False
    )
    op.create_table(
        "endpoint_states",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("parked_until", Instant(), nullable=False),
        sa.Column("trips", sa.Integer(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.CheckConstraint("trips >= 1", name=op.f("ck_endpoint_states_trips")),
        sa.PrimaryKeyConstraint("owner", "endpoint", name=op.f("pk_endpoint_states")),
        comment="Endpoints in trouble: nothing is claimed for them until then, after it one probe.",
    )
    op.create_table(
        "erasures",
        sa.Column("account", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account", "event_id", name=op.f("pk_erasures")),
        comment="Events that are to be erased when their attempts in flight have ended.",
    )
    op.create_table(
        "order_lanes",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.Column("head_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("head_number < next_number", name=op.f("ck_order_lanes_has_waiting")),
        sa.PrimaryKeyConstraint("owner", "subscription", "resource", name=op.f("pk_order_lanes")),
        comment="The unfinished deliveries of an ordered subscription about one resource: the number that the next one gets, and that of the only one that may be sent now.",
    )
    op.create_table(
        "resend_jobs",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("resend_job_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=True),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("rate_limit", sa.Integer(), nullable=False),
        sa.Column("total_count", sa.BigInteger(), nullable=False),
        sa.Column("resent_count", sa.BigInteger(), nullable=False),
        sa.Column("skipped_count", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("after_time", Instant(), nullable=True),
        sa.Column("after_delivery_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("due_time", Instant(), nullable=True),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("end_time", Instant(), nullable=True),
        sa.CheckConstraint(
            "(state = 'RUNNING') = (due_time IS NOT NULL)",
            name=op.f("ck_resend_jobs_running_is_due"),
        ),
        sa.CheckConstraint(
            "(state = 'RUNNING') = (end_time IS NULL)",
            name=op.f("ck_resend_jobs_ended_has_end_time"),
        ),
        sa.CheckConstraint(
            "state IN ('RUNNING', 'SUCCEEDED', 'CANCELLED')", name=op.f("ck_resend_jobs_state")
        ),
        sa.PrimaryKeyConstraint("owner", "resend_job_id", name=op.f("pk_resend_jobs")),
        comment="Resends of many deliveries. names is a JSON array of ids, NULL where the filter chooses; what comes after (after_time, after_delivery_id) has not been looked at yet.",
    )
    op.create_index(
        "ix_resend_jobs_due",
        "resend_jobs",
        ["due_time"],
        unique=False,
        sqlite_where=sa.text("due_time IS NOT NULL"),
        postgresql_where=sa.text("due_time IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_resend_jobs_owner_create_time"),
        "resend_jobs",
        ["owner", "create_time"],
        unique=False,
    )
    op.create_table(
        "subscription_health",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", Instant(), nullable=False),
        sa.Column("failed_attempts", sa.BigInteger(), nullable=False),
        sa.Column("reported", sa.Boolean(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f("pk_subscription_health")),
        comment="Subscriptions whose last attempt failed; one that succeeds takes the row away.",
    )
    op.create_table(
        "subscription_overrides",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('GONE', 'FAILING')", name=op.f("ck_subscription_overrides_reason")
        ),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f("pk_subscription_overrides")),
        comment="Subscriptions that count as Inactive until a newer revision of them comes.",
    )
    op.add_column("attempts", sa.Column("settle_time", Instant(), nullable=True))
    op.create_index(
        "ix_attempts_settled", "attempts", ["settle_time"], unique=False, postgresql_using="brin"
    )
    op.drop_index(op.f("ix_bodies_create_time"), table_name="bodies")
    op.create_index(
        op.f("ix_bodies_owner_create_time"), "bodies", ["owner", "create_time"], unique=False
    )
    op.add_column("deliveries", sa.Column("cancelled_by", sa.Text(), nullable=True))
    op.create_index(
        "ix_deliveries_order",
        "deliveries",
        ["owner", "subscription", "resource", "lane_number"],
        unique=False,
        sqlite_where=sa.text("lane_number IS NOT NULL AND end_time IS NULL"),
        postgresql_where=sa.text("lane_number IS NOT NULL AND end_time IS NULL"),
    )
    op.add_column("events", sa.Column("warehouses", sa.Text(), nullable=True))
    op.add_column("events", sa.Column("order_id", sa.BigInteger(), nullable=True))
    op.add_column("events", sa.Column("email_hash", sa.LargeBinary(), nullable=True))
    op.drop_index(op.f("ix_events_accept_time"), table_name="events")
    op.create_index(
        op.f("ix_events_account_accept_time"), "events", ["account", "accept_time"], unique=False
    )
    op.create_index(
        "ix_events_email",
        "events",
        ["account", "email_hash"],
        unique=False,
        sqlite_where=sa.text("email_hash IS NOT NULL"),
        postgresql_where=sa.text("email_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_events_order",
        "events",
        ["account", "order_id"],
        unique=False,
        sqlite_where=sa.text("order_id IS NOT NULL"),
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_index(
        "ix_events_order",
        table_name="events",
        sqlite_where=sa.text("order_id IS NOT NULL"),
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_events_email",
        table_name="events",
        sqlite_where=sa.text("email_hash IS NOT NULL"),
        postgresql_where=sa.text("email_hash IS NOT NULL"),
    )
    op.drop_index(op.f("ix_events_account_accept_time"), table_name="events")
    op.create_index(op.f("ix_events_accept_time"), "events", ["accept_time"], unique=False)
    op.drop_column("events", "email_hash")
    op.drop_column("events", "order_id")
    op.drop_column("events", "warehouses")
    op.drop_index(
        "ix_deliveries_order",
        table_name="deliveries",
        sqlite_where=sa.text("lane_number IS NOT NULL AND end_time IS NULL"),
        postgresql_where=sa.text("lane_number IS NOT NULL AND end_time IS NULL"),
    )
    op.drop_column("deliveries", "cancelled_by")
    op.drop_index(op.f("ix_bodies_owner_create_time"), table_name="bodies")
    op.create_index(op.f("ix_bodies_create_time"), "bodies", ["create_time"], unique=False)
    op.drop_index("ix_attempts_settled", table_name="attempts", postgresql_using="brin")
    op.drop_column("attempts", "settle_time")
    op.drop_table("subscription_overrides")
    op.drop_table("subscription_health")
    op.drop_index(op.f("ix_resend_jobs_owner_create_time"), table_name="resend_jobs")
    op.drop_index(
        "ix_resend_jobs_due",
        table_name="resend_jobs",
        sqlite_where=sa.text("due_time IS NOT NULL"),
        postgresql_where=sa.text("due_time IS NOT NULL"),
    )
    op.drop_table("resend_jobs")
    op.drop_table("order_lanes")
    op.drop_table("erasures")
    op.drop_table("endpoint_states")
    op.drop_index(op.f("ix_endpoint_reports_create_time"), table_name="endpoint_reports")
    op.drop_table("endpoint_reports")
    op.drop_table("dispatchers")

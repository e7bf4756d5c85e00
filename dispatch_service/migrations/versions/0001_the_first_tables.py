"""
the first tables

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "attempts",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("payload_version", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("url_shown", sa.Text(), nullable=False),
        sa.Column("url_hash", sa.LargeBinary(), nullable=False),
        sa.Column("attempt_trigger", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("response_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("start_time", Instant(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=True),
        sa.Column("dns_us", sa.BigInteger(), nullable=True),
        sa.Column("connect_us", sa.BigInteger(), nullable=True),
        sa.Column("tls_us", sa.BigInteger(), nullable=True),
        sa.Column("first_byte_us", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt_time", Instant(), nullable=True),
        sa.Column("sealed_exchange", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(status = 'SUCCESS') = (failure_kind IS NULL)",
            name=op.f("ck_attempts_failed_has_kind"),
        ),
        sa.CheckConstraint(
            "status IN ('SUCCESS', 'FAILURE', 'INTERRUPTED')", name=op.f("ck_attempts_status")
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_attempts_number")),
        sa.PrimaryKeyConstraint("owner", "delivery_id", "number", name=op.f("pk_attempts")),
        comment="One row for each HTTP request, written with its result.",
    )
    op.create_index(
        "ix_attempts_failures",
        "attempts",
        ["owner", "start_time"],
        unique=False,
        sqlite_where=sa.text("status <> 'SUCCESS'"),
        postgresql_where=sa.text("status <> 'SUCCESS'"),
    )
    op.create_index(
        "ix_attempts_owner_start_time", "attempts", ["owner", "start_time"], unique=False
    )
    op.create_index(
        "ix_attempts_owner_subscription_start_time",
        "attempts",
        ["owner", "subscription", "start_time"],
        unique=False,
    )
    op.create_index(
        "ix_attempts_owner_url_hash_start_time",
        "attempts",
        ["owner", "url_hash", "start_time"],
        unique=False,
    )

    op.create_table(
        "audit_entries",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("audit_entry_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "audit_entry_id", name=op.f("pk_audit_entries")),
        comment="What people did by hand, without secrets.",
    )
    op.create_index(
        "ix_audit_entries_owner_create_time",
        "audit_entries",
        ["owner", "create_time"],
        unique=False,
    )

    op.create_table(
        "bodies",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("account", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("payload_version", sa.Text(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint(
            "owner", "account", "event_id", "event_type", "payload_version", name=op.f("pk_bodies")
        ),
        comment="Payloads, rendered once at accept and shared by an owner's deliveries.",
    )
    op.create_index("ix_bodies_create_time", "bodies", ["create_time"], unique=False)

    op.create_table(
        "day_keys",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_day_keys")),
        comment="One data key per UTC day (days since 1970), wrapped by the key ring.",
    )
    op.create_table(
        "deliveries",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("payload_version", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("url_shown", sa.Text(), nullable=False),
        sa.Column("url_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_time", Instant(), nullable=True),
        sa.Column("expire_time", Instant(), nullable=False),
        sa.Column("end_time", Instant(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("begun", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("interrupted", sa.Integer(), nullable=False),
        sa.Column("next_trigger", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("lane_number", sa.BigInteger(), nullable=True),
        sa.Column("failure_kind", sa.Text(), nullable=True),
        sa.Column("response_code", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(state IN ('PENDING', 'DELIVERING')) = (end_time IS NULL)",
            name=op.f("ck_deliveries_ended_has_end_time"),
        ),
        sa.CheckConstraint(
            "next_trigger IN ('EVENT', 'RETRY', 'RESEND', 'TEST')",
            name=op.f("ck_deliveries_next_trigger"),
        ),
        sa.CheckConstraint(
            "state <> 'DELIVERING' OR lease_owner IS NOT NULL",
            name=op.f("ck_deliveries_delivering_is_leased"),
        ),
        sa.CheckConstraint(
            "state <> 'PENDING' OR lease_owner IS NULL",
            name=op.f("ck_deliveries_pending_is_not_leased"),
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'DELIVERING', 'SUCCEEDED', 'FAILED', 'CANCELLED')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('FAILED', 'CANCELLED') OR due_time IS NULL",
            name=op.f("ck_deliveries_given_up_is_not_due"),
        ),
        sa.CheckConstraint(
            "begun >= 0 AND step >= 0 AND interrupted >= 0", name=op.f("ck_deliveries_counts")
        ),
        sa.CheckConstraint(
            "lease_owner IS NULL OR due_time IS NOT NULL", name=op.f("ck_deliveries_leased_is_due")
        ),
        sa.PrimaryKeyConstraint("owner", "delivery_id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "owner",
            "account",
            "event_id",
            "subscription",
            name=op.f("uq_deliveries_owner_account_event_id_subscription"),
        ),
        comment="Events owed to subscriptions: the log and the queue in one. due_time is when the row may be claimed: the next attempt, or for a leased row the end of its lease. A pending row without it is parked.",
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["owner", "endpoint", "due_time"],
        unique=False,
        sqlite_where=sa.text("due_time IS NOT NULL"),
        postgresql_where=sa.text("due_time IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_owner_create_time", "deliveries", ["owner", "create_time"], unique=False
    )
    op.create_index(
        "ix_deliveries_unfinished",
        "deliveries",
        ["owner", "subscription"],
        unique=False,
        sqlite_where=sa.text("end_time IS NULL"),
        postgresql_where=sa.text("end_time IS NULL"),
    )

    op.create_table(
        "event_keys",
        sa.Column("account", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("accept_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account", "event_id", name=op.f("pk_event_keys")),
        comment="The ids of accepted events: what makes publishing idempotent.",
    )
    op.create_index("ix_event_keys_accept_time", "event_keys", ["accept_time"], unique=False)

    op.create_table(
        "events",
        sa.Column("account", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("domain_event", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("accept_time", Instant(), nullable=False),
        sa.Column("match_state", sa.Text(), nullable=False),
        sa.Column("sealed_payload", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "match_state IN ('MATCHED', 'PENDING_MATCH')", name=op.f("ck_events_match_state")
        ),
        sa.PrimaryKeyConstraint("account", "event_id", name=op.f("pk_events")),
        comment="Accepted events. A NULL payload was erased or is past its retention.",
    )
    op.create_index("ix_events_accept_time", "events", ["accept_time"], unique=False)
    op.create_index(
        "ix_events_pending_match",
        "events",
        ["accept_time"],
        unique=False,
        sqlite_where=sa.text("match_state = 'PENDING_MATCH'"),
        postgresql_where=sa.text("match_state = 'PENDING_MATCH'"),
    )

    op.create_table(
        "feed_resources",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_resources")),
        comment="The last snapshot of the config service's resources, resealed.",
    )
    op.create_table(
        "feed_state",
        sa.Column("feed_state_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("apply_time", Instant(), nullable=False),
        sa.CheckConstraint("feed_state_id = 1", name=op.f("ck_feed_state_one_row")),
        sa.PrimaryKeyConstraint("feed_state_id", name=op.f("pk_feed_state")),
        comment="How far the feed was applied. No row: no snapshot was ever received.",
    )
    op.create_table(
        "request_ids",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "request_id", name=op.f("pk_request_ids")),
        comment="The request ids of a day, which make manual actions idempotent.",
    )
    op.create_index("ix_request_ids_create_time", "request_ids", ["create_time"], unique=False)


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_index("ix_request_ids_create_time", table_name="request_ids")

    op.drop_table("request_ids")
    op.drop_table("feed_state")
    op.drop_table("feed_resources")
    op.drop_index(
        "ix_events_pending_match",
        table_name="events",
        sqlite_where=sa.text("match_state = 'PENDING_MATCH'"),
        postgresql_where=sa.text("match_state = 'PENDING_MATCH'"),
    )
    op.drop_index("ix_events_accept_time", table_name="events")

    op.drop_table("events")
    op.drop_index("ix_event_keys_accept_time", table_name="event_keys")

    op.drop_table("event_keys")
    op.drop_index(
        "ix_deliveries_unfinished",
        table_name="deliveries",
        sqlite_where=sa.text("end_time IS NULL"),
        postgresql_where=sa.text("end_time IS NULL"),
    )
    op.drop_index("ix_deliveries_owner_create_time", table_name="deliveries")
    op.drop_index(
        "ix_deliveries_due",
        table_name="deliveries",
        sqlite_where=sa.text("due_time IS NOT NULL"),
        postgresql_where=sa.text("due_time IS NOT NULL"),
    )

    op.drop_table("deliveries")
    op.drop_table("day_keys")
    op.drop_index("ix_bodies_create_time", table_name="bodies")

    op.drop_table("bodies")
    op.drop_index("ix_audit_entries_owner_create_time", table_name="audit_entries")

    op.drop_table("audit_entries")
    op.drop_index("ix_attempts_owner_url_hash_start_time", table_name="attempts")
    op.drop_index("ix_attempts_owner_subscription_start_time", table_name="attempts")
    op.drop_index("ix_attempts_owner_start_time", table_name="attempts")
    op.drop_index(
        "ix_attempts_failures",
        table_name="attempts",
        sqlite_where=sa.text("status <> 'SUCCESS'"),
        postgresql_where=sa.text("status <> 'SUCCESS'"),
    )

    op.drop_table("attempts")

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
        "audit_entries",
        sa.Column("audit_entry_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("audit_entry_id", name=op.f("pk_audit_entries")),
        comment="Every change of the configuration: who, what, before and after without secrets.",
    )
    op.create_index(
        "ix_audit_entries_owner_create_time",
        "audit_entries",
        ["owner", "create_time"],
        unique=False,
    )

    op.create_table(
        "callers",
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("created_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("config", sa.LargeBinary(), nullable=False),
        sa.Column("certificate_identity", sa.Text(), nullable=True),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("expire_time", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("caller_id", name=op.f("pk_callers")),
        sa.UniqueConstraint("certificate_identity", name=op.f("uq_callers_certificate_identity")),
        sa.UniqueConstraint("created_revision", name=op.f("uq_callers_created_revision")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_callers_token_sha256")),
        comment="Who may call; of tokens only the hashes.",
    )
    op.create_table(
        "client_certificates",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("client_certificate_id", sa.Text(), nullable=False),
        sa.Column("created_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sha256_fingerprint", sa.Text(), nullable=False),
        sa.Column("not_after", Instant(), nullable=False),
        sa.Column("sealed_config", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint(
            "owner", "client_certificate_id", name=op.f("pk_client_certificates")
        ),
        sa.UniqueConstraint(
            "created_revision", name=op.f("uq_client_certificates_created_revision")
        ),
        comment="Client certificates with their keys.",
    )
    op.create_table(
        "credentials",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("created_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("sealed_config", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "credential_id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("created_revision", name=op.f("uq_credentials_created_revision")),
        comment="Pre-configured ways to authenticate to receivers.",
    )
    op.create_table(
        "endpoint_events",
        sa.Column("endpoint_event_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("received_revision", sa.BigInteger(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_event_id", name=op.f("pk_endpoint_events")),
        comment="What the dispatch service reported about endpoints.",
    )
    op.create_index(
        "ix_endpoint_events_owner_received_revision",
        "endpoint_events",
        ["owner", "received_revision"],
        unique=False,
    )

    op.create_table(
        "feed_items",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("change_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_items")),
        sa.UniqueConstraint("revision", name=op.f("uq_feed_items_revision")),
        comment="The last change of every resource that the feed carries.",
    )
    op.create_table(
        "feed_state",
        sa.Column("feed_state_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("compacted_revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("feed_state_id = 1", name=op.f("ck_feed_state_one_row")),
        sa.PrimaryKeyConstraint("feed_state_id", name=op.f("pk_feed_state")),
        comment="The counter of revisions, and up to where deletions have been forgotten.",
    )
    op.create_table(
        "owner_settings",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("config", sa.LargeBinary(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_owner_settings")),
        comment="What holds for all of an owner.",
    )
    op.create_table(
        "request_ids",
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("parent", "request_id", name=op.f("pk_request_ids")),
        comment="The request ids of a day, which make creating and rotating idempotent.",
    )
    op.create_index("ix_request_ids_create_time", "request_ids", ["create_time"], unique=False)

    op.create_table(
        "signing_secrets",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("expire_time", Instant(), nullable=True),
        sa.PrimaryKeyConstraint(
            "owner", "subscription_id", "secret_id", name=op.f("pk_signing_secrets")
        ),
        comment="The secrets that requests are signed with; several during a rotation.",
    )
    op.create_table(
        "subscriptions",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("created_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("payload_version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("client_certificate", sa.Text(), nullable=False),
        sa.Column("url_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_config", sa.LargeBinary(), nullable=False),
        sa.Column("endpoint_health", sa.LargeBinary(), nullable=False),
        sa.Column("suppressed_event_count", sa.BigInteger(), nullable=False),
        sa.Column("last_suppressed_time", Instant(), nullable=True),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.Column("delete_time", Instant(), nullable=True),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'INACTIVE')", name=op.f("ck_subscriptions_status")
        ),
        sa.CheckConstraint(
            "status_reason IN ('SET', 'GONE', 'FAILING')",
            name=op.f("ck_subscriptions_status_reason"),
        ),
        sa.PrimaryKeyConstraint("owner", "subscription_id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("created_revision", name=op.f("uq_subscriptions_created_revision")),
        comment="Subscriptions; sealed_config holds all that was set, the URL and headers included.",
    )

    op.execute(
        "INSERT INTO feed_state (feed_state_id, revision, compacted_revision) VALUES (1, 0, 0)"
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("subscriptions")
    op.drop_table("signing_secrets")
    op.drop_index("ix_request_ids_create_time", table_name="request_ids")

    op.drop_table("request_ids")
    op.drop_table("owner_settings")
    op.drop_table("feed_state")
    op.drop_table("feed_items")
    op.drop_index("ix_endpoint_events_owner_received_revision", table_name="endpoint_events")

    op.drop_table("endpoint_events")
    op.drop_table("credentials")
    op.drop_table("client_certificates")
    op.drop_table("callers")
    op.drop_index("ix_audit_entries_owner_create_time", table_name="audit_entries")

    op.drop_table("audit_entries")

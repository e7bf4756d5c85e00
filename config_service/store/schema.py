"""
The tables of the config service.

Secrets are in sealed columns; next to them are the few columns that lists filter by. Revisions
come from one counter that is raised in the transaction of the change, so they are in the
order of the commits.
"""

from __future__ import annotations

import sqlalchemy as sa

from service_runtime.audit.tables import audit_tables, chain_columns
from service_runtime.database.instants import Instant
from service_runtime.database.revisions.compatibility import compatibility_table
from service_runtime.database.tables import NAMING_CONVENTION

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

feed_state = sa.Table(
    "feed_state",
    metadata,
    sa.Column("feed_state_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("compacted_revision", sa.BigInteger, nullable=False),
    sa.CheckConstraint("feed_state_id = 1", name="one_row"),
    comment="The counter of revisions, and up to where deletions have been forgotten.",
)

feed_items = sa.Table(
    "feed_items",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("change_time", Instant, nullable=False),
    comment="The last change of every resource that the feed carries.",
)

feed_history = sa.Table(
    "feed_history",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    comment="The digest of each revision of the feed, chained: the identity of its history.",
)

feed_readers = sa.Table(
    "feed_readers",
    metadata,
    sa.Column("reader", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("seen_time", Instant, nullable=False),
    sa.Index(None, "seen_time"),
    comment="The processes that read the feed, and the revision that each has applied.",
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription_id", sa.Text, primary_key=True),
    sa.Column("created_revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("payload_version", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("status_reason", sa.Text, nullable=False),
    sa.Column("credential", sa.Text, nullable=False),
    sa.Column("client_certificate", sa.Text, nullable=False),
    sa.Column("signing_key", sa.Text, nullable=False, server_default=""),
    sa.Column("url_hash", sa.LargeBinary, nullable=False),
    sa.Column("sealed_config", sa.LargeBinary, nullable=False),
    sa.Column("endpoint_health", sa.LargeBinary, nullable=False),
    sa.Column("skipped_event_count", sa.BigInteger, nullable=False),
    sa.Column("last_skipped_time", Instant),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    sa.Column("delete_time", Instant),
    sa.Column("matches_since", Instant),
    sa.Column("verified_url_hash", sa.LargeBinary),
    sa.CheckConstraint("status IN ('ACTIVE', 'INACTIVE')", name="status"),
    sa.CheckConstraint(
        "status_reason IN ('MANUAL', 'GONE', 'FAILING', 'UNVERIFIED')", name="status_reason"
    ),
    comment="Subscriptions; sealed_config holds all that was set, the URL and headers included.",
)

signing_secrets = sa.Table(
    "signing_secrets",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("subscription_id", sa.Text, primary_key=True),
    sa.Column("secret_id", sa.Text, primary_key=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("sealed_signing_key", sa.LargeBinary),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("expire_time", Instant),
    comment="The secrets that requests are signed with; several during a rotation.",
)

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("signing_key_id", sa.Text, primary_key=True),
    sa.Column("created_revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("sealed_config", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    comment="Keys that sign the requests of many subscriptions.",
)

signing_key_secrets = sa.Table(
    "signing_key_secrets",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("signing_key_id", sa.Text, primary_key=True),
    sa.Column("secret_id", sa.Text, primary_key=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("sealed_signing_key", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("expire_time", Instant),
    comment="The secrets of signing keys; several during a rotation.",
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("created_revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("sealed_config", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    comment="Pre-configured ways to authenticate to receivers.",
)

client_certificates = sa.Table(
    "client_certificates",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("client_certificate_id", sa.Text, primary_key=True),
    sa.Column("created_revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("sha256_fingerprint", sa.Text, nullable=False),
    sa.Column("not_after", Instant, nullable=False),
    sa.Column("sealed_config", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    comment="Client certificates with their keys.",
)

owner_settings = sa.Table(
    "owner_settings",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("config", sa.LargeBinary, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    comment="What holds for all of an owner.",
)

callers = sa.Table(
    "callers",
    metadata,
    sa.Column("caller_id", sa.Text, primary_key=True),
    sa.Column("created_revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("config", sa.LargeBinary, nullable=False),
    sa.Column("certificate_identity", sa.Text, unique=True),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("update_time", Instant, nullable=False),
    sa.Column("expire_time", Instant),
    comment="Who may call.",
)

caller_tokens = sa.Table(
    "caller_tokens",
    metadata,
    sa.Column("caller_id", sa.Text, primary_key=True),
    sa.Column("token_sha256", sa.LargeBinary, primary_key=True),
    sa.Column("created_revision", sa.BigInteger, nullable=False),
    sa.Column("expire_time", Instant),
    comment="The hashes of the tokens of callers; several during a rotation.",
)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("audit_entry_id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("changes", sa.Text, nullable=False),
    *chain_columns(),
    sa.Index(None, "owner", "create_time"),
    comment="Every change of the configuration: who, what, before and after without secrets.",
)

audit = audit_tables(metadata, audit_entries)
"""
The audit log with its chain.
"""

endpoint_events = sa.Table(
    "endpoint_events",
    metadata,
    sa.Column("endpoint_event_id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("received_revision", sa.BigInteger, nullable=False),
    sa.Column("stale", sa.Boolean, nullable=False),
    sa.Column("report", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("subscription", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Text, nullable=False, server_default=""),
    sa.Column("failure_kind", sa.Text, nullable=False, server_default=""),
    sa.Column("occur_time", Instant),
    sa.Index(None, "owner", "received_revision"),
    sa.Index(None, "owner", "occur_time"),
    sa.Index(None, "kind", "occur_time"),
    sa.Index(None, "occur_time"),
    comment=(
        "What the dispatch service reported about endpoints. Rows without occur_time are from the"
        " release before 0012; they are completed in the background."
    ),
)

request_ids = sa.Table(
    "request_ids",
    metadata,
    sa.Column("parent", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("request_sha256", sa.LargeBinary, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Index(None, "create_time"),
    comment="The request ids of a day, which make creating and rotating idempotent.",
)

compatibility_table(metadata)

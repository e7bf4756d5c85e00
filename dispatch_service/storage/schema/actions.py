"""
The tables of what people do by hand.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.audit.tables import audit_tables, chain_columns
from service_runtime.database.instants import Instant
from service_runtime.database.tables import UuidText

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

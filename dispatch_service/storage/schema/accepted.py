"""
The tables of accepted events, their payloads, and their erasure.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.database.instants import Instant
from service_runtime.database.tables import partial_index

event_keys = sa.Table(
    "event_keys",
    metadata,
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("accept_time", Instant, nullable=False),
    sa.Index(None, "accept_time"),
    comment="The ids of accepted events: what makes publishing idempotent.",
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("domain_event", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("occurred_at", Instant, nullable=False),
    sa.Column("accept_time", Instant, nullable=False),
    sa.Column("match_state", sa.Text, nullable=False),
    sa.Column("warehouses", sa.Text),
    sa.Column("order_id", sa.BigInteger),
    sa.Column("email_hash", sa.LargeBinary),
    sa.Column("order_number_hash", sa.LargeBinary),
    sa.Column("sealed_payload", sa.LargeBinary),
    sa.CheckConstraint("match_state IN ('MATCHED', 'PENDING_MATCH')", name="match_state"),
    sa.Index(None, "account", "accept_time"),
    partial_index("ix_events_order", "account", "order_id", where="order_id IS NOT NULL"),
    partial_index("ix_events_email", "account", "email_hash", where="email_hash IS NOT NULL"),
    partial_index(
        "ix_events_order_number",
        "account",
        "order_number_hash",
        where="order_number_hash IS NOT NULL",
    ),
    partial_index("ix_events_pending_match", "accept_time", where="match_state = 'PENDING_MATCH'"),
    comment=(
        "Accepted events. A NULL payload was erased or is past its retention. warehouses is a"
        " JSON array of ids; order_id and the keyed hash of the customer's e-mail find what is"
        " to be erased, the keyed hash of the order's number what people look for."
    ),
)

bodies = sa.Table(
    "bodies",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("event_type", sa.Text, primary_key=True),
    sa.Column("payload_version", sa.Text, primary_key=True),
    sa.Column("sealed_body", sa.LargeBinary, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("body_bytes", sa.Integer, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Index(None, "owner", "create_time"),
    comment="Payloads, rendered once at accept and shared by an owner's deliveries.",
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("account", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    comment="Events that are to be erased when their attempts in flight have ended.",
)

"""
The columns of the rows that go into the queue's statements, in one order for
both databases, with their PostgreSQL types.
"""

from __future__ import annotations

EVENT_KEY = {"account": "bigint", "event_id": "text"}

EVENT = {
    "account": "bigint",
    "event_id": "text",
    "sha256": "bytea",
    "domain_event": "text",
    "resource": "text",
    "sequence": "bigint",
    "occurred_at": "timestamptz",
    "match_state": "text",
    "warehouses": "text",
    "order_id": "bigint",
    "email_hash": "bytea",
    "sealed_payload": "bytea",
}

BODY = {
    "account": "bigint",
    "event_id": "text",
    "owner": "text",
    "event_type": "text",
    "payload_version": "text",
    "sealed_body": "bytea",
    "sha256": "bytea",
    "body_bytes": "integer",
}

DELIVERY = {
    "account": "bigint",
    "event_id": "text",
    "owner": "text",
    "delivery_id": "uuid",
    "subscription": "text",
    "event_type": "text",
    "payload_version": "text",
    "endpoint": "text",
    "url_shown": "text",
    "url_hash": "bytea",
    "lifetime_us": "bigint",
    "leased": "boolean",
    "sequence_position": "bigint",
    "behind": "boolean",
    "next_trigger": "text",
    "requested_by": "text",
    "failure_kind": "text",
}

LEASE_KEY = {"owner": "text", "delivery_id": "uuid", "lease_token": "bigint"}

SETTLEMENT = {
    **LEASE_KEY,
    "state": "text",
    "delay_us": "bigint",
    "retries_used": "integer",
    "attempted": "boolean",
    "failure_kind": "text",
    "response_code": "integer",
}

ATTEMPT = {
    **LEASE_KEY,
    "number": "integer",
    "attempt_trigger": "text",
    "requested_by": "text",
    "status": "text",
    "failure_kind": "text",
    "response_code": "integer",
    "error": "text",
    "url_shown": "text",
    "url_hash": "bytea",
    "start_time": "timestamptz",
    "duration_us": "bigint",
    "dns_us": "bigint",
    "connect_us": "bigint",
    "tls_us": "bigint",
    "first_byte_us": "bigint",
    "sealed_exchange": "bytea",
}

LATE = {
    "owner": "text",
    "delivery_id": "uuid",
    "number": "integer",
    "response_code": "integer",
    "note": "text",
}

LANE_COUNT = {"owner": "text", "subscription": "text", "resource": "text", "wanted": "bigint"}

RELEASE = {**LEASE_KEY, "delay_us": "bigint"}

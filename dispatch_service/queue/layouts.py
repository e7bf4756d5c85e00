"""
The rows that go into the queue's statements.

Each kind of row is declared once: the name of a column, its type on PostgreSQL, and how its
value is read. Statements take the lists of their columns from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from dispatch_service.domain.work import NewBody, NewDelivery, NewEvent, Settlement
from dispatch_service.queue import moves
from dispatch_service.queue.claimed import OLD_TRIGGER
from dispatch_service.queue.sequences import Position
from service_runtime.database.instants import micros
from shipedge.webhooks.failures.causes import Cause

INTERRUPTED_ERROR = Cause.INTERRUPTED.text()


class Column:
    """
    A column: its type on PostgreSQL, and what reads its value, a path of attributes or a function.

    Paths are read in C. `_value_` of an enum is what `value` returns, at a third of the cost.
    Where *convert* makes the value from what the path leads to, which may be None, it can be
    called once for all rows in which that is the same.
    """

    def __init__(
        self,
        kind: str,
        source: str | Callable[[Any], Any],
        convert: Callable[[Any], Any] | None = None,
    ) -> None:
        read: Callable[[Any], Any] = attrgetter(source) if isinstance(source, str) else source
        self.kind = kind
        self.read_raw = read
        self.convert = convert
        self.read = read if convert is None else lambda thing: convert(read(thing))


Columns = Mapping[str, Column]

_JSON = msgspec.json.Encoder()


# Rows of new events.


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """
    An event that was stored, with the time that it was accepted at.
    """

    event: NewEvent
    accept_time: datetime


class StoredBody(msgspec.Struct, frozen=True, gc=False):
    """
    A body with its event.
    """

    event: NewEvent
    body: NewBody


class StoredDelivery(msgspec.Struct, frozen=True, gc=False):
    """
    A delivery with its event and its position in a sequence.
    """

    event: NewEvent
    delivery: NewDelivery
    position: Position


EVENT_KEY: Columns = {
    "account": Column("bigint", "account"),
    "event_id": Column("text", "event_id"),
}

EVENT: Columns = {
    **EVENT_KEY,
    "sha256": Column("bytea", "sha256"),
    "domain_event": Column("text", "domain_event"),
    "resource": Column("text", "resource"),
    "sequence": Column("bigint", "sequence"),
    "occurred_at": Column("timestamptz", "occurred_at"),
    "match_state": Column("text", "matched", lambda it: "MATCHED" if it else "PENDING_MATCH"),
    "warehouses": Column(
        "text", "warehouses", lambda it: _JSON.encode(it).decode() if it else None
    ),
    "order_id": Column("bigint", "order_id"),
    "email_hash": Column("bytea", "email_hash"),
    "order_number_hash": Column("bytea", "order_number_hash"),
    "sealed_payload": Column("bytea", "sealed_payload"),
}

_KEY_OF_EVENT: Columns = {
    "account": Column("bigint", "event.account"),
    "event_id": Column("text", "event.event_id"),
}

# What a delivery repeats of its event.
OF_EVENT: Columns = {
    "resource": Column("text", "event.resource"),
    "sequence": Column("bigint", "event.sequence"),
    "occurred_at": Column("timestamptz", "event.occurred_at"),
}

FRESH: Columns = {**_KEY_OF_EVENT, "accept_time": Column("timestamptz", "accept_time"), **OF_EVENT}

BODY: Columns = {
    **_KEY_OF_EVENT,
    "owner": Column("text", "body.owner"),
    "event_type": Column("text", "body.event_type"),
    "payload_version": Column("text", "body.payload_version"),
    "sealed_body": Column("bytea", "body.sealed_body"),
    "sha256": Column("bytea", "body.sha256"),
    "body_bytes": Column("integer", "body.body_bytes"),
}

DELIVERY: Columns = {
    **_KEY_OF_EVENT,
    "owner": Column("text", "delivery.owner"),
    "delivery_id": Column("uuid", "delivery.delivery_id"),
    "subscription": Column("text", "delivery.subscription"),
    "event_type": Column("text", "delivery.event_type"),
    "payload_version": Column("text", "delivery.payload_version"),
    "endpoint": Column("text", "delivery.endpoint"),
    "url_shown": Column("text", "delivery.url_shown"),
    "url_hash": Column("bytea", "delivery.url_hash"),
    "next_trigger": Column("text", "delivery.trigger._value_"),
    "requested_by": Column("text", "delivery.requested_by"),
    "failure_kind": Column("text", "delivery.failure_kind"),
    "trace_parent": Column("text", "delivery.trace_parent"),
    "replayed": Column("boolean", "delivery.replayed"),
    "sequence_position": Column("bigint", "position.number"),
    "blocked": Column("boolean", "position.blocked"),
    "leased": Column("boolean", lambda it: it.delivery.leased and not it.position.blocked),
    "lifetime_us": Column("bigint", "delivery.lifetime", micros),
}

SEQUENCE_COUNT: Columns = {
    "owner": Column("text", itemgetter(0)),
    "subscription": Column("text", itemgetter(1)),
    "resource": Column("text", itemgetter(2)),
    "wanted": Column("bigint", itemgetter(3)),
}


# Rows of leases that end.


def _micros_if_any(span: timedelta | None) -> int | None:
    return None if span is None else micros(span)


def _late_note(settlement: Settlement) -> str:
    record = settlement.attempt
    if record is None:
        raise ValueError("a settlement without an attempt has no outcome")
    seconds = (record.duration_us or 0) / 1_000_000
    said = record.error or f"HTTP {record.response_code}"
    return f". Late outcome after {seconds:.1f} s: {said}."


LEASE_KEY: Columns = {
    "owner": Column("text", "claimed.owner"),
    "delivery_id": Column("uuid", "claimed.delivery_id"),
    "lease_token": Column("bigint", "claimed.token"),
}

SETTLEMENT: Columns = {
    **LEASE_KEY,
    "state": Column("text", "transition.state._value_"),
    "delay_us": Column("bigint", "transition.delay", _micros_if_any),
    "time_left_us": Column("bigint", "transition.time_left", _micros_if_any),
    "wait_reason": Column("text", "transition.wait_reason"),
    "retries_used": Column("integer", "transition.retries_used"),
    "attempted": Column("boolean", lambda it: it.attempt is not None),
    "failure_kind": Column("text", "transition.failure_kind"),
    "response_code": Column("integer", "response_code"),
}

# Of the record of an attempt.
ATTEMPT: Columns = {
    "number": Column("integer", "number"),
    "url_shown": Column("text", "url_shown"),
    "url_hash": Column("bytea", "url_hash"),
    "attempt_trigger": Column("text", "trigger._value_"),
    "requested_by": Column("text", "requested_by"),
    "status": Column("text", "status"),
    "failure_kind": Column("text", "failure_kind"),
    "response_code": Column("integer", "response_code"),
    "error": Column("text", "error"),
    "start_time": Column("timestamptz", "start_time"),
    "duration_us": Column("bigint", "duration_us"),
    "dns_us": Column("bigint", "dns_us"),
    "connect_us": Column("bigint", "connect_us"),
    "tls_us": Column("bigint", "tls_us"),
    "first_byte_us": Column("bigint", "first_byte_us"),
    "sealed_exchange": Column("bytea", "sealed_exchange"),
}

# What an attempt repeats of its delivery.
OF_DELIVERY: Columns = {
    "account": Column("bigint", "claimed.account"),
    "event_id": Column("text", "claimed.event_id"),
    "subscription": Column("text", "claimed.subscription"),
    "event_type": Column("text", "claimed.event_type"),
    "payload_version": Column("text", "claimed.payload_version"),
    "resource": Column("text", "claimed.resource"),
}

# The outcome of an attempt whose lease was lost.
LATE: Columns = {
    "owner": Column("text", "claimed.owner"),
    "delivery_id": Column("uuid", "claimed.delivery_id"),
    "number": Column("integer", "attempt.number"),
    "response_code": Column("integer", "attempt.response_code"),
    "note": Column("text", _late_note),
}

REQUEUE: Columns = {
    **LEASE_KEY,
    "delay_us": Column("bigint", "delay", micros),
    "time_left_us": Column("bigint", "time_left", micros),
    "wait_reason": Column("text", "reason._value_"),
}

SUSPEND: Columns = {
    **LEASE_KEY,
    "time_left_us": Column("bigint", "claimed.time_left", micros),
    "hold_us": Column("bigint", "hold", _micros_if_any),
}


# The rows of tables, with the expressions of their values; see `dialects`.


def _given(names: Iterable[str]) -> dict[str, str]:
    return {name: f"${name}" for name in names}


EVENT_KEYS_ROW = {**_given(("account", "event_id", "sha256")), "accept_time": "$accept_time"}

EVENTS_ROW = {
    **_given(name for name in EVENT if name != "sha256"),
    "accept_time": "$accept_time",
}

BODIES_ROW = {**_given(BODY), "create_time": "$accept_time"}

DELIVERIES_ROW = {
    **_given(name for name in DELIVERY if name not in {"blocked", "leased", "lifetime_us"}),
    **_given(OF_EVENT),
    "create_time": "$accept_time",
    **moves.INSERT.columns,
}

_KEY_OF_ATTEMPT = _given(("owner", "delivery_id"))

ATTEMPTS_ROW = {
    **_KEY_OF_ATTEMPT,
    **_given(OF_DELIVERY),
    **_given(ATTEMPT),
    "next_attempt_time": "$next_attempt_time",
    "settle_time": "{now}",
}

# What a claim remembers of the lease that it takes over, by the column that it had.
OLD = {
    "old_owner": "lease_owner",
    "old_number": "attempt_count",
    "old_trigger": "next_trigger",
    "old_due_time": "due_time",
}

INTERRUPTED_ROW = {
    **_KEY_OF_ATTEMPT,
    **_given(OF_DELIVERY),
    **_given(("url_shown", "url_hash", "requested_by")),
    "number": "$old_number",
    "attempt_trigger": OLD_TRIGGER,
    "status": "'INTERRUPTED'",
    "failure_kind": "'interrupted'",
    "error": "$interrupted_error",
    "start_time": "{$old_due_time - $lease_us}",
    "next_attempt_time": "{now}",
    "settle_time": "{now}",
}

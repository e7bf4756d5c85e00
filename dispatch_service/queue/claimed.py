"""
The rows that a claim returns, and what is leased without one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from dispatch_service.domain.transitions import State, Trigger
from dispatch_service.domain.work import Claimed, NewDelivery, NewEvent

CLAIMED = (
    "owner",
    "delivery_id",
    "lease_token",
    "attempt_count",
    "retries_used",
    "interrupted",
    "state",
    "next_trigger",
    "requested_by",
    "account",
    "event_id",
    "subscription",
    "event_type",
    "payload_version",
    "endpoint",
    "resource",
    "sequence",
    "occurred_at",
    "cancelled_by",
    "sequence_position",
    "trace_parent",
    "failure_kind",
    "replayed",
)

OLD_TRIGGER = "CASE WHEN $replayed AND $old_trigger = 'EVENT' THEN 'REPLAY' ELSE $old_trigger END"
"""
Why an attempt was made that was interrupted: the first one of a replay is that of no new event.
"""


def delivery_hex(stored: Any) -> str:
    """
    Return a stored delivery id as 32 hexadecimal digits.
    """
    return str(stored).replace("-", "")


def as_it_is(instant: datetime) -> datetime:
    """
    Return an instant of PostgreSQL as it is.
    """
    return instant


def same_span(span: timedelta) -> timedelta:
    """
    Return a span of PostgreSQL as it is.
    """
    return span


def claimed_from(
    row: Any,
    from_stored: Callable[[Any], datetime] = as_it_is,
    span_of: Callable[[Any], timedelta] = same_span,
) -> Claimed:
    """
    Read a row of the columns `CLAIMED`, `age`, `time_left` and `sealed_body`.
    """
    return Claimed(
        owner=row.owner,
        delivery_id=delivery_hex(row.delivery_id),
        token=row.lease_token,
        number=row.attempt_count,
        retries_used=row.retries_used,
        interrupted=row.interrupted,
        state=State(row.state),
        trigger=_trigger(row),
        requested_by=row.requested_by,
        account=row.account,
        event_id=row.event_id,
        subscription=row.subscription,
        event_type=row.event_type,
        payload_version=row.payload_version,
        endpoint=row.endpoint,
        resource=row.resource,
        sequence=row.sequence,
        occurred_at=from_stored(row.occurred_at),
        time_left=span_of(row.time_left),
        age=span_of(row.age),
        cancelled=row.cancelled_by is not None,
        in_sequence=row.sequence_position is not None,
        trace_parent=row.trace_parent,
        last_failure=row.failure_kind,
        replayed=bool(row.replayed),
        sealed_body=row.sealed_body,
    )


def _trigger(row: Any) -> Trigger:
    trigger = Trigger(row.next_trigger)
    return Trigger.REPLAY if row.replayed and trigger is Trigger.EVENT else trigger


def dispatched(event: NewEvent, delivery: NewDelivery) -> Claimed:
    """
    Describe a delivery that was stored leased: its first attempt has started.
    """
    return Claimed(
        owner=delivery.owner,
        delivery_id=delivery.delivery_id,
        token=1,
        number=1,
        retries_used=0,
        interrupted=0,
        state=State.DELIVERING,
        trigger=delivery.trigger,
        requested_by=delivery.requested_by,
        account=event.account,
        event_id=event.event_id,
        subscription=delivery.subscription,
        event_type=delivery.event_type,
        payload_version=delivery.payload_version,
        endpoint=delivery.endpoint,
        resource=event.resource,
        sequence=event.sequence,
        occurred_at=event.occurred_at,
        time_left=delivery.lifetime,
        dispatched=True,
        in_sequence=delivery.ordered,
        trace_parent=delivery.trace_parent,
        sealed_body=None,
    )

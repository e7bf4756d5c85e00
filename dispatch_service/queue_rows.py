"""
The rows that go into the queue's statements: the columns of each, in one
order for both databases, with their PostgreSQL types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from dispatch_service.deliveries import State, Trigger
from dispatch_service.queue import Claimed, NewEvent, Release, Settlement

INTERRUPTED_ERROR = "The service was cut off: whether the request arrived is not known."

EVENT_KEY = {"account": "bigint", "event_id": "text"}

ENDPOINT_KEY = {"owner": "text", "endpoint": "text"}

EVENT = {
    "account": "bigint",
    "event_id": "text",
    "sha256": "bytea",
    "domain_event": "text",
    "resource": "text",
    "sequence": "bigint",
    "occurred_at": "timestamptz",
    "match_state": "text",
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
    "resource": "text",
    "sequence": "bigint",
    "occurred_at": "timestamptz",
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
    "next_trigger": "text",
    "requested_by": "text",
    "failure_kind": "text",
}

SETTLEMENT = {
    "owner": "text",
    "delivery_id": "uuid",
    "lease_token": "bigint",
    "state": "text",
    "delay_us": "bigint",
    "step": "integer",
    "attempted": "boolean",
    "failure_kind": "text",
    "response_code": "integer",
}

ATTEMPT = {
    "owner": "text",
    "delivery_id": "uuid",
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

RELEASE = {"owner": "text", "delivery_id": "uuid", "lease_token": "bigint", "delay_us": "bigint"}

AsStored = Callable[[datetime], Any]
"""
How a database stores an instant.
"""


def micros(span: timedelta) -> int:
    """
    Count the microseconds of *span*.
    """
    return span // timedelta(microseconds=1)


def as_it_is(instant: datetime) -> datetime:
    """
    Hand an instant to PostgreSQL as it is.
    """
    return instant


def delivery_hex(stored: Any) -> str:
    """
    Return a stored delivery id as 32 hexadecimal digits.
    """
    return str(stored).replace("-", "")


def event_row(event: NewEvent, as_stored: AsStored = as_it_is) -> tuple[Any, ...]:
    """
    Lay an event out in the order of `EVENT`.
    """
    return (
        event.account,
        event.event_id,
        event.sha256,
        event.domain_event,
        event.resource,
        event.sequence,
        as_stored(event.occurred_at),
        "MATCHED" if event.matched else "PENDING_MATCH",
        event.sealed_payload,
    )


def body_rows(event: NewEvent) -> Iterator[tuple[Any, ...]]:
    """
    Lay the bodies of an event out in the order of `BODY`.
    """
    for body in event.bodies:
        yield (
            event.account,
            event.event_id,
            body.owner,
            body.event_type,
            body.payload_version,
            body.sealed_body,
            body.sha256,
            body.body_bytes,
        )


def delivery_rows(event: NewEvent, as_stored: AsStored = as_it_is) -> Iterator[tuple[Any, ...]]:
    """
    Lay the deliveries of an event out in the order of `DELIVERY`.
    """
    occurred_at = as_stored(event.occurred_at)
    for it in event.deliveries:
        yield (
            event.account,
            event.event_id,
            event.resource,
            event.sequence,
            occurred_at,
            it.owner,
            it.delivery_id,
            it.subscription,
            it.event_type,
            it.payload_version,
            it.endpoint,
            it.url_shown,
            it.url_hash,
            micros(it.lifetime),
            it.leased,
            it.trigger.value,
            it.requested_by,
            it.failure_kind,
        )


def settlement_row(settlement: Settlement) -> tuple[Any, ...]:
    """
    Lay the end of a lease out in the order of `SETTLEMENT`.
    """
    claimed, transition = settlement.claimed, settlement.transition
    return (
        claimed.owner,
        claimed.delivery_id,
        claimed.token,
        transition.state.value,
        None if transition.delay is None else micros(transition.delay),
        transition.step,
        settlement.attempt is not None,
        transition.failure_kind,
        settlement.response_code,
    )


def attempt_row(settlement: Settlement, as_stored: AsStored = as_it_is) -> tuple[Any, ...]:
    """
    Lay the attempt of a settlement, which must have one, out in the order of `ATTEMPT`.
    """
    claimed, it = settlement.claimed, settlement.attempt
    if it is None:
        raise ValueError("a settlement without an attempt has no attempt row")
    return (
        claimed.owner,
        claimed.delivery_id,
        it.number,
        it.trigger.value,
        it.requested_by,
        it.status,
        it.failure_kind,
        it.response_code,
        it.error,
        it.url_shown,
        it.url_hash,
        as_stored(it.start_time),
        it.duration_us,
        it.dns_us,
        it.connect_us,
        it.tls_us,
        it.first_byte_us,
        it.sealed_exchange,
    )


def release_row(release: Release) -> tuple[Any, ...]:
    """
    Lay a release out in the order of `RELEASE`.
    """
    claimed = release.claimed
    delay_us = None if release.delay is None else micros(release.delay)
    return (claimed.owner, claimed.delivery_id, claimed.token, delay_us)


def claimed_from(row: Any, from_stored: Callable[[Any], datetime] = as_it_is) -> Claimed:
    """
    Read a row that the claim statement returned.
    """
    return Claimed(
        owner=row.owner,
        delivery_id=delivery_hex(row.delivery_id),
        token=row.lease_token,
        number=row.begun,
        step=row.step,
        interrupted=row.interrupted,
        state=State(row.state),
        trigger=Trigger(row.next_trigger),
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
        expired=bool(row.expired),
        sealed_body=row.sealed_body,
    )

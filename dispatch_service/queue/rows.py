"""
The rows that go into the queue's statements, each in the order of its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dispatch_service.domain.deliveries import State, Trigger
from dispatch_service.domain.work import Claimed, NewEvent, Receipt, Release, Settlement
from dispatch_service.queue.sequences import NO_PLACE, Place

INTERRUPTED_ERROR = "The service was cut off: whether the request arrived is not known."

AsStored = Callable[[datetime], Any]
"""
How a database stores an instant.
"""


def micros(span: timedelta) -> int:
    """
    Count the microseconds of *span*.
    """
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


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
        msgspec.json.encode(event.warehouses).decode() if event.warehouses else None,
        event.order_id,
        event.email_hash,
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


def delivery_rows(event: NewEvent, places: Mapping[str, Place]) -> Iterator[tuple[Any, ...]]:
    """
    Lay the deliveries of an event out in the order of `DELIVERY`.

    *places* are those of the ordered ones in their lanes, by id.
    """
    for it in event.deliveries:
        place = places.get(it.delivery_id, NO_PLACE)
        yield (
            event.account,
            event.event_id,
            it.owner,
            it.delivery_id,
            it.subscription,
            it.event_type,
            it.payload_version,
            it.endpoint,
            it.url_shown,
            it.url_hash,
            micros(it.lifetime),
            it.leased and not place.behind,
            place.number,
            place.behind,
            it.trigger.value,
            it.requested_by,
            it.failure_kind,
        )


def fresh_receipt(event: NewEvent, accept_time: datetime, places: Mapping[str, Place]) -> Receipt:
    """
    Say that an event was stored, and which of its deliveries have to wait for others.
    """
    blocked = [
        it.delivery_id
        for it in event.deliveries
        if it.leased and places.get(it.delivery_id, NO_PLACE).behind
    ]
    return Receipt(accept_time, event.sha256, fresh=True, blocked=frozenset(blocked))


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
        transition.retries_used,
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
        claimed.token,
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


def late_row(settlement: Settlement) -> tuple[Any, ...]:
    """
    Lay the outcome of an attempt whose lease was lost out in the order of `LATE`.
    """
    claimed, it = settlement.claimed, settlement.attempt
    if it is None:
        raise ValueError("a settlement without an attempt has no outcome")
    seconds = (it.duration_us or 0) / 1_000_000
    note = f" Late outcome after {seconds:.1f} s: {it.error or f'HTTP {it.response_code}'}."
    return (claimed.owner, claimed.delivery_id, it.number, it.response_code, note)


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
        number=row.attempt_count,
        retries_used=row.retries_used,
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
        cancelled=row.cancelled_by is not None,
        in_sequence=row.sequence_position is not None,
        sealed_body=row.sealed_body,
    )

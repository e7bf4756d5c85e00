"""
Stored events: what is written of a published one, and reading it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.deliveries import State
from dispatch_service.domain.erasure_subjects import email_hash, subject_of
from dispatch_service.domain.work import Claimed, NewBody, NewDelivery, NewEvent
from dispatch_service.routing.match import Facts
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import deliveries, events
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def serialised(event: event_pb2.Event) -> bytes:
    """
    Write an event as it is hashed and stored.
    """
    return event.SerializeToString(deterministic=True)


def content_hash(event: event_pb2.Event) -> bytes:
    """
    Hash the content of an event: SHA-256 of its deterministic serialisation.
    """
    return hashlib.sha256(serialised(event)).digest()


def occurred_at(event: event_pb2.Event) -> datetime:
    """
    Return when an event happened, to the microsecond.
    """
    at = event.occurred_at
    # By position: names cost half as much again.
    return _EPOCH + timedelta(0, at.seconds, at.nanos // 1000)


def new_event(
    event: event_pb2.Event,
    content: bytes,
    facts: Facts,
    sealer: Sealer,
    *,
    matched: bool,
    bodies: Sequence[NewBody] = (),
    deliveries: Sequence[NewDelivery] = (),
) -> NewEvent:
    """
    Seal an event that passed the checks for its row, with what follows from it.

    *content* is its deterministic serialisation.
    """
    subject = subject_of(facts.payload)
    account, event_id = event.account_id, event.event_id
    return NewEvent(
        account=account,
        event_id=event_id,
        sha256=hashlib.sha256(content).digest(),
        domain_event=facts.domain_event,
        resource=facts.resource,
        sequence=event.sequence,
        occurred_at=occurred_at(event),
        matched=matched,
        warehouses=facts.warehouses,
        bodies=bodies,
        deliveries=deliveries,
        order_id=subject.order_id,
        email_hash=email_hash(sealer.hashed, subject.email) if subject.email else None,
        sealed_payload=sealer.seal(content, associated_data.event(account, event_id)),
    )


def dispatched(event: NewEvent, delivery: NewDelivery) -> Claimed:
    """
    Describe a delivery that is stored leased: its first attempt has begun.
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
        expired=False,
        dispatched=True,
        in_sequence=delivery.ordered,
        sealed_body=None,
    )


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """
    An event as the store has it; *event* is None where its content was erased.
    """

    accept_time: datetime
    matched: bool
    event: event_pb2.Event | None = field(repr=False)


async def find(
    engine: AsyncEngine, keys: DayKeys, account: int, event_id: str
) -> StoredEvent | None:
    """
    Find an event with what is known of it.
    """
    query = sa.select(events.c.accept_time, events.c.match_state, events.c.sealed_payload).where(
        events.c.account == account, events.c.event_id == event_id
    )
    async with reading(engine) as db:
        row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    content = None
    if row.sealed_payload is not None:
        opened = await keys.open(row.sealed_payload, associated_data.event(account, event_id))
        content = event_pb2.Event.FromString(opened)
    return StoredEvent(row.accept_time, row.match_state == "MATCHED", content)


async def read(
    db: AsyncConnection, keys: DayKeys, account: int, event_id: str
) -> event_pb2.Event | None:
    """
    Read the content of an event, None where it is gone.
    """
    query = sa.select(events.c.sealed_payload).where(
        events.c.account == account, events.c.event_id == event_id
    )
    sealed = (await db.execute(query)).scalar_one_or_none()
    if sealed is None:
        return None
    return event_pb2.Event.FromString(
        await keys.open(sealed, associated_data.event(account, event_id))
    )


async def deliveries_of(
    engine: AsyncEngine, owners: Sequence[str], account: int, event_id: str
) -> dict[str, str]:
    """
    Map the names of the subscriptions of *owners* that an event was sent to, to
    the ids of the deliveries.
    """
    query = sa.select(
        deliveries.c.owner, deliveries.c.subscription, deliveries.c.delivery_id
    ).where(
        deliveries.c.owner.in_(owners),
        deliveries.c.account == account,
        deliveries.c.event_id == event_id,
    )
    async with reading(engine) as db:
        rows = (await db.execute(query)).all()
    return {names.subscription(it.owner, it.subscription): str(it.delivery_id) for it in rows}

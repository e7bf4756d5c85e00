"""
The delivery table as a queue: the values that go in and out, and what the two
implementations (PostgreSQL and SQLite) both do. The statements are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from dispatch_service.domain.deliveries import TEST_RESOURCES, State, Transition, Trigger

if TYPE_CHECKING:
    pass

EventKey = tuple[int, str]
"""
An account's number and the id of an event of it.
"""

EndpointKey = tuple[str, str]
LeaseKey = tuple[str, str, int]
"""
An owner and an endpoint of it, `https://example.com:443`.
"""


class NewBody(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A payload to be stored: *sealed_body* is what lies in the database.
    """

    owner: str
    event_type: str
    payload_version: str
    sealed_body: bytes
    sha256: bytes
    body_bytes: int


class NewDelivery(msgspec.Struct, kw_only=True, gc=False):
    """
    A delivery to be stored. If it is *leased*, its first attempt counts as started.

    *leased* is set directly before it is stored. An *ordered* one that has an unfinished one
    of the same resource before it is not leased, whatever *leased* says. A *failure_kind*
    stores it as failed at once: its payload could not be rendered.
    """

    owner: str
    delivery_id: str
    subscription: str
    event_type: str
    payload_version: str
    endpoint: str
    url_shown: str
    url_hash: bytes
    lifetime: timedelta
    leased: bool = False
    ordered: bool = False
    trigger: Trigger = Trigger.EVENT
    requested_by: str | None = None
    failure_kind: str | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An event to be stored with all that follows from it.
    """

    account: int
    event_id: str
    sha256: bytes
    domain_event: str
    resource: str
    sequence: int
    occurred_at: datetime
    matched: bool
    sealed_payload: bytes
    warehouses: Sequence[str] = ()
    order_id: int | None = None
    email_hash: bytes | None = None
    bodies: Sequence[NewBody] = ()
    deliveries: Sequence[NewDelivery] = ()

    @property
    def key(self) -> EventKey:
        """
        What identifies it.
        """
        return (self.account, self.event_id)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """
    What the store knows of an event id: *fresh* where it was stored just now.

    *blocked* are the ids of its deliveries that were not leased because an
    earlier one of their resource is unfinished.
    """

    accept_time: datetime
    sha256: bytes
    fresh: bool
    blocked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lease:
    """
    Who takes deliveries and for how long.
    """

    owner: str
    duration: timedelta


class Claimed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A delivery that this process alone may attempt until its lease ends.

    *number* is that of the attempt that has begun; *token* is what settling
    it needs. *sealed_body* is None where the payload is gone. *expired* says
    that its time was up when it was claimed, *cancelled* that somebody gave it up
    while an attempt was being made, *dispatched* that it never waited in the table,
    *in_sequence* that it has a place in an order lane.
    """

    owner: str
    delivery_id: str
    token: int
    number: int
    retries_used: int
    interrupted: int
    state: State
    trigger: Trigger
    requested_by: str | None
    account: int
    event_id: str
    subscription: str
    event_type: str
    payload_version: str
    endpoint: str
    resource: str
    sequence: int
    occurred_at: datetime
    expired: bool
    cancelled: bool = False
    dispatched: bool = False
    in_sequence: bool = False
    sealed_body: bytes | None

    @property
    def endpoint_key(self) -> EndpointKey:
        """
        The lane that it goes through.
        """
        return (self.owner, self.endpoint)

    @property
    def key(self) -> LeaseKey:
        """
        What identifies this lease of it: one that was lost may stand beside the next.
        """
        return (self.owner, self.delivery_id, self.token)

    @property
    def test(self) -> bool:
        """
        Whether it carries a sample that somebody asked for.
        """
        return self.resource.startswith(TEST_RESOURCES)


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
        expired=False,
        dispatched=True,
        in_sequence=delivery.ordered,
        sealed_body=None,
    )


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What the log keeps of an attempt; times of phases in microseconds.
    """

    number: int
    trigger: Trigger
    requested_by: str | None
    status: str
    failure_kind: str | None
    response_code: int | None
    error: str | None
    url_shown: str
    url_hash: bytes
    start_time: datetime
    duration_us: int | None
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    sealed_exchange: bytes | None


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """
    The end of a lease: what the delivery becomes, and the attempt, if one was made.
    """

    claimed: Claimed
    transition: Transition
    attempt: AttemptRecord | None
    response_code: int | None = None


class Release(msgspec.Struct, frozen=True, gc=False):
    """
    A lease that is let go without an attempt; due again after *delay*, or for None
    when its time is up: it is parked, as *revision* of its subscription is Inactive.
    """

    claimed: Claimed
    delay: timedelta | None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """
    What came of ending leases: the keys of those that were not held any more, and how
    many other deliveries became due because they waited behind these.
    """

    lost: frozenset[LeaseKey] = frozenset()
    unblocked: int = 0

"""
The delivery table as a queue: the values that go in and out, and what the two
implementations (PostgreSQL and SQLite) both do. The statements are theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from dispatch_service.deliveries import TEST_RESOURCES, State, Transition, Trigger

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

EventKey = tuple[int, str]
"""
An account's number and the id of an event of it.
"""

EndpointKey = tuple[str, str]
LeaseKey = tuple[str, str, int]
"""
An owner and an endpoint of it, `https://example.com:443`.
"""

START: EndpointKey = ("", "")
"""
Before all endpoints.
"""

MOST_ENDPOINTS = 10_000
"""
How many endpoints one claim looks at: about 50 milliseconds of the database's time.
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


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A delivery to be stored. One that is *leased* counts its first attempt as begun.

    An *ordered* one that has an unfinished one of the same resource before it is
    not leased, whatever *leased* says. A *failure_kind* stores it as failed at
    once: its payload could not be rendered.
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
    leased: bool
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

    *held_back* are the ids of its deliveries that were not leased because an
    earlier one of their resource is unfinished.
    """

    accept_time: datetime
    sha256: bytes
    fresh: bool
    held_back: frozenset[str] = frozenset()


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
    while an attempt was being made, *handed_over* that it never waited in the table,
    *in_lane* that it has a place in an order lane.
    """

    owner: str
    delivery_id: str
    token: int
    number: int
    step: int
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
    handed_over: bool = False
    in_lane: bool = False
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
    freed: int = 0


Follow = Callable[["AsyncConnection", Sequence[Settlement]], Awaitable[None]]
"""
Writes what follows from settlements whose lease was still held, in their transaction.
"""

Wants = Callable[[Sequence["Settlement"]], bool]
"""
Tells whether anything may follow from settlements.
"""


class Queue(Protocol):
    """
    What both databases do. Every method but `store_on` is one transaction of its own.
    """

    async def close(self) -> None:
        """
        Keep nothing between uses any more.
        """
        ...

    async def store_events(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new, each with all that follows
        from it, and say of every event what is known of its id.
        """
        ...

    async def store_on(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Do what `store_events` does in a transaction that is open already.
        """
        ...

    async def store_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store what follows from events that waited for a snapshot; return those
        that no other process had matched meanwhile.
        """
        ...

    async def claim(
        self, lease: Lease, *, limit: int, per_endpoint: int, full: Collection[EndpointKey]
    ) -> Sequence[Claimed]:
        """
        Take up to *limit* due deliveries, at most *per_endpoint* of each endpoint
        and none of those that are *full*, beginning where the last call ended.

        It looks at `MOST_ENDPOINTS` endpoints with waiting deliveries at most; the
        next call looks at those behind them.

        A delivery whose lease has run out is due too; taking it over writes the
        attempt that it was leased for as interrupted.
        """
        ...

    async def settle(
        self, settlements: Sequence[Settlement], follow: Follow | None = None
    ) -> Ended:
        """
        End leases and write the attempts. What another process has taken over is
        left alone, but for a note of the late outcome at the attempt that was cut off.

        *follow* is given the settlements that counted, in the same transaction.
        """
        ...

    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        Let leases go as if the attempts had never begun.
        """
        ...

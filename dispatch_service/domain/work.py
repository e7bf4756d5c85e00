"""
The values that go into the queue of deliveries and come out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.transitions import (
    TEST_RESOURCES,
    State,
    Transition,
    Trigger,
    WaitReason,
)

EventKey = tuple[int, str]
"""
The number of an account and the id of an event of it.
"""

EndpointKey = tuple[str, str]
"""
An owner and an endpoint of it, such as `https://example.com:443`.
"""

LeaseKey = tuple[str, str, int]
"""
An owner, the id of a delivery of it, and the token of a lease of that delivery.
"""


class NewBody(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A payload to be stored, sealed.
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

    *leased* is set directly before it is stored. An *ordered* one behind an unfinished one of the
    same resource is not leased, whatever *leased* says. A *failure_kind* stores it as failed: its
    payload could not be rendered. *trace_parent* is the place of its publisher's call in a trace.
    A *replayed* one was asked for by a replay.
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
    trace_parent: str | None = None
    replayed: bool = False


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An event to be stored with its bodies and deliveries.
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
    order_number_hash: bytes | None = None
    bodies: Sequence[NewBody] = ()
    deliveries: Sequence[NewDelivery] = ()

    @property
    def key(self) -> EventKey:
        return (self.account, self.event_id)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """
    What the store knows of an event id. *fresh* tells whether it was stored just now.

    *blocked* has the ids of deliveries that were to be leased and were not, because an earlier
    one of their sequence is unfinished.
    """

    accept_time: datetime
    sha256: bytes
    fresh: bool
    blocked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lease:
    """
    The process that takes deliveries, and for how long.

    A lease that ends later than *trusted_until* is not taken over, and no suspended delivery is
    claimed that is due later: the database's clock may have stepped ahead. None trusts it.
    """

    owner: str
    duration: timedelta
    trusted_until: datetime | None = None


class Claimed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A leased delivery: only this process may attempt it until the lease ends.

    *number* is the number of the attempt that has started. A result counts only with the present
    *token*. *sealed_body* is None if the payload is gone. *time_left* is the time until it expires,
    *age* that since its event was accepted. *cancelled* says that it was cancelled in an earlier
    attempt, *dispatched* that it never waited in the table, *in_sequence* that it has a place,
    *replayed* that a replay made it.
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
    time_left: timedelta
    age: timedelta = timedelta()
    cancelled: bool = False
    dispatched: bool = False
    in_sequence: bool = False
    trace_parent: str | None = None
    last_failure: str | None = None
    replayed: bool = False
    sealed_body: bytes | None

    @property
    def endpoint_key(self) -> EndpointKey:
        return (self.owner, self.endpoint)

    @property
    def key(self) -> LeaseKey:
        """
        The key of this lease. A batch may hold a lost lease of a delivery and its next one.
        """
        return (self.owner, self.delivery_id, self.token)

    @property
    def expired(self) -> bool:
        """
        Whether its time was over before it was due.
        """
        return self.time_left <= timedelta()

    @property
    def used_up(self) -> bool:
        """
        Whether its receiver has used up its time: an attempt of its schedule had an outcome.
        """
        return self.retries_used > 0 and self.expired

    @property
    def test(self) -> bool:
        """
        Whether the delivery is a test with a sample.
        """
        return self.resource.startswith(TEST_RESOURCES)


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """
    The end of a lease with a result: what the delivery becomes, and the attempt if one was made,
    which began *waited* seconds after the event was accepted, and took so many *seconds*.
    """

    claimed: Claimed
    transition: Transition
    attempt: AttemptRecord | None
    response_code: int | None = None
    waited: float = 0.0
    seconds: float = 0.0

    @property
    def confirms(self) -> bool:
        """
        Whether the receiver confirmed the delivery in this attempt.
        """
        return self.attempt is not None and self.attempt.status == "SUCCESS"


class Requeue(msgspec.Struct, frozen=True, gc=False):
    """
    The end of a lease without an attempt: the delivery is due again after *delay*, and waits
    for *reason*.
    """

    claimed: Claimed
    delay: timedelta = timedelta()
    reason: WaitReason = WaitReason.BACKLOG

    @property
    def time_left(self) -> timedelta:
        """
        The time until the delivery expires. Only the delay by its subscription's limits counts.
        """
        counts = self.reason is WaitReason.THROTTLED
        return self.claimed.time_left + (timedelta() if counts else self.delay)


class Suspend(msgspec.Struct, frozen=True, gc=False):
    """
    The end of a lease without an attempt, since *revision* of the subscription is Inactive, or
    is held for as long as *hold*.
    """

    claimed: Claimed
    revision: int
    hold: timedelta | None = None


Release = Requeue | Suspend
"""
The end of a lease without an attempt.
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """
    The outcome of ending leases: the keys of leases that were not held any more, and how many
    other deliveries became due because these had blocked them.
    """

    lost: frozenset[LeaseKey] = frozenset()
    unblocked: int = 0

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.lost | other.lost, self.unblocked + other.unblocked)

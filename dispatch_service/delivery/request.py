"""
The request of an attempt: headers, ids and the signature over the exact bytes of the body.
No I/O; `now` is passed in for the signature.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from dispatch_service.domain.authentication import ClientIdentity, Header
from dispatch_service.domain.transitions import State, is_repetition
from dispatch_service.domain.work import Claimed
from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.queue.observability.spans import attempt_place
from dispatch_service.routing.subscriptions import SigningKey, Subscription
from service_runtime.rpc import names
from service_runtime.rpc.tracing.spans import tracing
from shipedge.webhooks.catalogue import CATALOGUE

MASK = b"***"
"""
What the log shows instead of the value of a header that somebody configured.
"""

_CONSTANT = (
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"User-Agent", b"ShipEdge-Webhooks/1.0"),
    (b"Accept-Encoding", b"identity"),
)

_SECONDS = len("2024-01-15T10:30:00")


class Described(Protocol):
    """
    What the headers of a request say of its delivery: a claimed one, or one of the log.
    """

    @property
    def delivery_id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def account(self) -> int: ...
    @property
    def event_id(self) -> str: ...
    @property
    def subscription(self) -> str: ...
    @property
    def event_type(self) -> str: ...
    @property
    def payload_version(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def test(self) -> bool: ...
    @property
    def replayed(self) -> bool: ...


def webhook_id(claimed: Described) -> str:
    """
    Return the delivery's id as receivers see it: the same on every attempt.
    """
    return names.DELIVERY_PREFIX + claimed.delivery_id


def build(
    claimed: Claimed,
    subscription: Subscription,
    body: bytes,
    *,
    now: datetime,
    deadline: float,
    keys: Sequence[SigningKey],
    authentication: Sequence[Header] = (),
    identity: ClientIdentity | None = None,
) -> OutboundRequest:
    """
    Build the request of an attempt, signed with *keys*. *deadline* is in seconds.

    Our own headers come last, so that nothing configured can stand in for them; a header of the
    *authentication* replaces a configured one. Raises `ValueError` for a subscription whose URL
    cannot be used.
    """
    if subscription.url is None:
        raise ValueError(subscription.url_problem)
    return OutboundRequest(
        owner=claimed.owner,
        url=subscription.url,
        headers=(
            *_custom(subscription, authentication),
            *authentication,
            *(_traced(claimed) if subscription.trace_context else ()),
            *own_headers(claimed, body, keys, now),
        ),
        body=body,
        identity=identity,
        urgent=claimed.dispatched,
        # A forced resend has no second attempt if its connection is lost.
        fresh=is_repetition(claimed.last_failure) or claimed.state is State.SUCCEEDED,
        deadline_seconds=deadline,
    )


def own_headers(
    described: Described, body: bytes, keys: Sequence[SigningKey], now: datetime
) -> tuple[Header, ...]:
    """
    Return the headers that each request has: what it is about, and its signature with *keys*.
    """
    timestamp = int(now.timestamp())
    message_id = webhook_id(described).encode()
    return (
        *_CONSTANT,
        *_described(described, message_id),
        (b"webhook-id", message_id),
        (b"webhook-timestamp", b"%d" % timestamp),
        (b"webhook-signature", sign(keys, message_id, timestamp, body, now)),
    )


def sign(
    keys: Sequence[SigningKey], message_id: bytes, timestamp: int, body: bytes, now: datetime
) -> bytes:
    """
    Sign `id.timestamp.body` with every key that is live at *now*.

    Standard Webhooks 1.0.0: `v1,` and the base64 of HMAC-SHA256, one for each key, separated by
    spaces; behind them `v1a,` and the base64 of ed25519 for those that have such a key.
    """
    signed = b"%b.%d.%b" % (message_id, timestamp, body)
    live = [it for it in keys if it.expire_time is None or now < it.expire_time]
    signatures = [b"v1," + _base64(it.mac.digest(signed)) for it in live]
    signatures += [
        b"v1a," + _base64(it.private_key.sign(signed)) for it in live if it.private_key is not None
    ]
    return b" ".join(signatures)


def _base64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False)


def masked_headers(
    request: OutboundRequest, subscription: Subscription, authentication: Sequence[Header] = ()
) -> tuple[Header, ...]:
    """
    Return the headers of a request as the log may show them: configured values are masked.
    """
    secret = {name.lower().encode() for name, _ in subscription.headers} | _lowered(authentication)
    return tuple(
        (name, MASK if name.lower() in secret else value) for name, value in request.headers
    )


def _custom(subscription: Subscription, authentication: Sequence[Header]) -> Sequence[Header]:
    if not subscription.headers:
        return ()
    taken = _lowered(authentication)
    return tuple(
        (name.encode(), value.encode())
        for name, value in subscription.headers
        if name.lower().encode() not in taken
    )


def _lowered(headers: Sequence[Header]) -> set[bytes]:
    return {name.lower() for name, _ in headers}


@lru_cache(maxsize=1024)
def _topic(event_type: str, payload_version: str) -> bytes:
    return CATALOGUE.topic(event_type, payload_version).encode()


def _described(claimed: Described, message_id: bytes) -> tuple[Header, ...]:
    # The instants of deliveries are in UTC, so their offset is the same six characters.
    occurred_at = claimed.occurred_at.isoformat(timespec="seconds")[:_SECONDS] + "Z"
    described: tuple[Header, ...] = (
        (b"X-Shipedge-Topic", _topic(claimed.event_type, claimed.payload_version)),
        (b"X-Shipedge-Event-Id", claimed.event_id.encode()),
        (b"X-Shipedge-Subscription-Id", claimed.subscription.encode()),
        (b"X-Shipedge-Delivery-Id", message_id),
        (b"X-Shipedge-Attempt", b"%d" % claimed.number),
        (b"X-Shipedge-Account-Id", b"%d" % claimed.account),
        (b"X-Shipedge-Occurred-At", occurred_at.encode()),
    )
    if claimed.sequence:
        described += ((b"X-Shipedge-Sequence", b"%d" % claimed.sequence),)
    if claimed.test:
        described += ((b"X-Shipedge-Test", b"true"),)
    if claimed.replayed:
        described += ((b"X-Shipedge-Replay", b"true"),)
    return described


def _traced(claimed: Claimed) -> tuple[Header, ...]:
    """
    Return the place of an attempt in a trace; that of its publisher's call if this process
    records no spans.
    """
    place = claimed.trace_parent if tracing.tracer is None else attempt_place(claimed)
    return () if place is None else ((b"traceparent", place.encode()),)

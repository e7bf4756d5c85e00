"""
Values of the dispatch service for tests, each with a sensible default for
everything that a test does not care about.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.work import (
    Claimed,
    Lease,
    NewBody,
    NewDelivery,
    NewEvent,
)
from dispatch_service.queue.claimed import dispatched
from dispatch_service.routing.subscriptions import Filter, SigningKey, Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.rules.urls import parse_url

NOW = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)

LEASE = Lease("worker-1", timedelta(seconds=45))


def new_delivery(**over: Any) -> NewDelivery:
    """
    Make a delivery of the shipped order to one subscription of account 100.
    """
    values: dict[str, Any] = {
        "owner": "accounts/100",
        "delivery_id": new_id(),
        "subscription": "shipped",
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "endpoint": "https://example.com:443",
        "url_shown": "https://example.com/hooks",
        "url_hash": b"hash of the url",
        "lifetime": timedelta(days=4),
        "leased": False,
    }
    return NewDelivery(**(values | over))


def new_event(*deliveries: NewDelivery, **over: Any) -> NewEvent:
    """
    Make an event of account 100 with the bodies that its deliveries need.
    """
    keys = {(it.owner, it.event_type, it.payload_version) for it in deliveries}
    values: dict[str, Any] = {
        "account": 100,
        "event_id": new_id(),
        "sha256": b"hash of the event",
        "domain_event": "order_status_changed",
        "resource": "orders/12345",
        "sequence": 7,
        "occurred_at": NOW,
        "matched": True,
        "sealed_payload": b"sealed event",
        "bodies": [new_body(*key) for key in sorted(keys)],
        "deliveries": deliveries,
    }
    return NewEvent(**(values | over))


def new_body(owner: str, event_type: str, payload_version: str) -> NewBody:
    """
    Make a body.
    """
    return NewBody(
        owner=owner,
        event_type=event_type,
        payload_version=payload_version,
        sealed_body=b"sealed body",
        sha256=b"hash of the body",
        body_bytes=11,
    )


def claimed_of(event: NewEvent, at: int = 0) -> Claimed:
    """
    Describe a delivery of *event* that was stored leased.
    """
    return dispatched(event, event.deliveries[at])


def attempt(claimed: Claimed, **over: Any) -> AttemptRecord:
    """
    Make the record of a successful attempt.
    """
    record = AttemptRecord(
        number=claimed.number,
        trigger=claimed.trigger,
        requested_by=claimed.requested_by,
        status="SUCCESS",
        failure_kind=None,
        response_code=200,
        error=None,
        url_shown="https://example.com/hooks",
        url_hash=b"hash of the url",
        start_time=NOW,
        duration_us=1500,
        dns_us=None,
        connect_us=None,
        tls_us=None,
        first_byte_us=1200,
        sealed_exchange=b"sealed exchange",
    )
    return replace(record, **over)


def subscription(**over: Any) -> Subscription:
    """
    Make an Active subscription of account 100 for shipped orders in version 2.
    """
    values: dict[str, Any] = {
        "owner": "accounts/100",
        "subscription_id": "shipped",
        "revision": 1,
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "active": True,
        "deleted": False,
        "url": parse_url("https://example.com/hooks?token=secret"),
        "url_problem": "",
        "url_hash": b"hash of the url",
        "filter": Filter(),
        "headers": (),
        "keys": (SigningKey(b"k" * 32, None),),
        "credential": "",
        "client_certificate": "",
        "schedule": (),
        "ordered": False,
        "max_concurrency": 0,
        "rate_limit": 0,
        "deactivate_after": None,
        "create_time": NOW,
        "update_time": NOW,
    }
    return Subscription(**(values | over))


def claimed(**over: Any) -> Claimed:
    """
    Make a leased delivery on its first attempt.
    """
    return replace(claimed_of(new_event(new_delivery(leased=True))), **over)

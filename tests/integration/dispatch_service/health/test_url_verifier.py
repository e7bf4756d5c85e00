"""
Challenges of URLs, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.egress.transport import GuardedTransport
from dispatch_service.feed import reports
from dispatch_service.health import url_verifier
from dispatch_service.health.url_verifier import UrlVerifier
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import url_challenges
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.rules.urls import parse_url
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from tests.support.dispatch_factories import subscription
from tests.support.receivers import Received, Receiver, https_receiver
from tests.support.transports import LOOPBACK, guarded_transport

pytestmark = pytest.mark.anyio


async def echo(received: Received) -> None:
    """
    Answer a challenge.
    """
    await received.answer(200, json.loads(received.body)["challenge"].encode())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """
    Yield a receiver that answers challenges.
    """
    async with https_receiver(echo) as running:
        yield running


@pytest.fixture
async def transport(receiver: Receiver) -> AsyncIterator[GuardedTransport]:
    """
    Yield a transport that reaches it.
    """
    async with guarded_transport(receiver) as made:
        yield made


def verifier(
    store: AsyncEngine, transport: GuardedTransport, *subscriptions: Subscription
) -> UrlVerifier:
    """
    Make a verifier of a process that knows some subscriptions.
    """
    index = SubscriptionIndex(received=True, complete=True)
    for each in subscriptions:
        index.put(each)
    clock = lambda: datetime.now(UTC)  # noqa: E731, TID251 - the tests' clock
    return UrlVerifier(store, index, transport, clock=clock, deadline=5.0)


def unverified(receiver: Receiver, name: str = "shipped", revision: int = 1) -> Subscription:
    """
    Return a subscription of the receiver's URL.
    """
    return subscription(
        subscription_id=name,
        revision=revision,
        active=False,
        unverified=True,
        url=parse_url(receiver.url, LOOPBACK),
    )


async def reported(store: AsyncEngine) -> list[tuple[str, str, int, str]]:
    """
    Return the stored reports: subscription, kind, revision and detail, sorted.
    """
    async with reading(store) as db:
        rows = await reports.oldest_reports(db, 100)
    found = [EndpointEvent.FromString(row.report) for row in rows]
    return sorted(
        (
            it.subscription.rpartition("/")[2],
            EndpointEvent.Kind.Name(it.kind),
            it.subscription_revision,
            it.detail,
        )
        for it in found
    )


async def test_each_revision_is_asked_once(
    store: AsyncEngine, transport: GuardedTransport, receiver: Receiver
) -> None:
    """
    By whichever process comes first; a later revision again, an earlier one not.
    """
    first = verifier(store, transport, unverified(receiver))
    second = verifier(store, transport, unverified(receiver))
    await asyncio.gather(first.run_once(), second.run_once())
    await first.run_once()
    assert await reported(store) == [("shipped", "KIND_URL_VERIFIED", 1, "")]
    assert len(receiver.requests) == 1

    later = verifier(store, transport, unverified(receiver, revision=3))
    await later.run_once()
    await verifier(store, transport, unverified(receiver, revision=2)).run_once()
    assert [it[2] for it in await reported(store)] == [1, 3]
    assert len(receiver.requests) == 2


async def test_turn_of_a_process_that_died_is_taken_over(
    store: AsyncEngine,
    transport: GuardedTransport,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    When its time is over, and not before.
    """
    monkeypatch.setattr(url_verifier, "MARGIN_SECONDS", -5.0)
    async with writing(store) as db:
        row = {"owner": "accounts/100", "subscription": "shipped", "revision": 1}
        row |= {"lease_time": after(timedelta(hours=1))}
        await db.execute(sa.insert(url_challenges).values(row))
    waiting = verifier(store, transport, unverified(receiver))
    await waiting.run_once()
    assert await reported(store) == []
    async with writing(store) as db:
        await db.execute(sa.update(url_challenges).values(lease_time=after(timedelta(seconds=-1))))
    await waiting.run_once()
    assert [it[1] for it in await reported(store)] == ["KIND_URL_VERIFIED"]


async def test_failures_are_reported_and_stop_no_other(
    store: AsyncEngine,
    transport: GuardedTransport,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Some at a time; a URL that cannot be used is told without a request.
    """
    monkeypatch.setattr(url_verifier, "AT_ONCE", 2)
    bad = subscription(
        subscription_id="bad",
        active=False,
        unverified=True,
        url=None,
        url_problem="must begin with https://",
    )
    closed = subscription(
        subscription_id="closed",
        active=False,
        unverified=True,
        url=parse_url("https://127.0.0.1:1/", LOOPBACK),
    )
    unknown = subscription(
        subscription_id="keyless", active=False, unverified=True, signing_key="key"
    )
    others = (
        subscription(subscription_id="active"),
        subscription(subscription_id="deleted", deleted=True, unverified=True),
    )
    asked = (bad, closed, unverified(receiver), unknown)
    asking = verifier(store, transport, *asked, *others)
    assert await asking.run_once()
    assert not await asking.run_once()
    found = await reported(store)
    assert [it[:2] for it in found] == [
        ("bad", "KIND_URL_NOT_VERIFIED"),
        ("closed", "KIND_URL_NOT_VERIFIED"),
        ("keyless", "KIND_URL_NOT_VERIFIED"),
        ("shipped", "KIND_URL_VERIFIED"),
    ]
    texts = ("must begin with https://", "connection refused", "signing key", "")
    assert all(text in it[3] for text, it in zip(texts, found, strict=True))

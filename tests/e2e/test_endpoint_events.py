"""
Endpoint events: on the subscription, in the stream and as webhooks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.config.v1 import config_service_pb2, subscription_pb2
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.events.v1 import event_pb2
from tests.e2e.test_pair import Reason, decided
from tests.support.pair import (
    PATIENCE_SECONDS,
    Pair,
    Subscription,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Received, Receiver, https_receiver

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
Health = subscription_pb2.EndpointHealth


class Endpoint:
    """
    A receiver that answers events and challenges with a status, and confirms system events.
    """

    def __init__(self) -> None:
        self.status = 500
        self.bodies: list[bytes] = []
        self.answers_challenges = False

    async def __call__(self, received: Received) -> None:
        if received.headers["x-shipedge-topic"] == "webhooks/url_challenge":
            text = json.loads(received.body)["challenge"].encode()
            await received.answer(200 if self.answers_challenges else self.status, text)
        elif b'"event":"webhooks/' in received.body:
            self.bodies.append(received.body)
            await received.answer(200)
        else:
            await received.answer(self.status)


@pytest.fixture
def endpoint() -> Endpoint:
    """
    Return the script of the receiver.
    """
    return Endpoint()


@pytest.fixture
async def receiver(endpoint: Endpoint) -> AsyncIterator[Receiver]:
    """
    Yield a receiver with that script.
    """
    async with https_receiver(endpoint, host="127.0.0.1") as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Pair]:
    """
    Yield both services, which mark an endpoint as failing after half a second.
    """
    environment = environment_of(tmp_path, receiver, SHIPEDGE_DISPATCH_FAILING_AFTER="500ms")
    async with running_pair(environment) as running:
        for name in ("failing", "recovered", "deactivated"):
            await running.subscribe(receiver.url, f"webhooks/endpoint_{name}", "v3")
        yield running


def shipped(event_id: str) -> event_pb2.Event:
    """
    Make the documented shipped order under another id.
    """
    event = example_event("orders/shipped")
    event.event_id = event_id
    return event


async def shows(pair: Pair, name: str, state: Health.State.ValueType) -> Subscription:
    """
    Wait until a subscription shows *state* as the state of its endpoint.
    """
    request = config_service_pb2.GetSubscriptionRequest(name=name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await pair.config.GetSubscription(request)
            if found.endpoint_health.state == state:
                return found
            await asyncio.sleep(0.1)


async def watched(pair: Pair, count: int) -> list[str]:
    """
    Return the kinds of the first endpoint events of a stream from the beginning.
    """
    request = config_service_pb2.WatchEndpointEventsRequest(parent=OWNER, cursor="r0")
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        call = pair.config.WatchEndpointEvents(request)
        async for answer in call:
            found += [EndpointEvent.Kind.Name(event.kind) for event in answer.endpoint_events]
            if len(found) >= count:
                call.cancel()
                break
    return found


async def test_failing_and_recovered_are_shown_streamed_and_delivered(
    pair: Pair, receiver: Receiver, endpoint: Endpoint
) -> None:
    """
    An endpoint that fails and recovers appears on its subscription, in the stream and as webhooks.
    """
    made = await pair.subscribe(
        receiver.url, "orders/shipped", "v2", retry_seconds=[1, 1, 1, 1, 1, 1, 1, 1]
    )
    await pair.known(made.name)
    await pair.publish(shipped("first"))

    failing = await shows(pair, made.name, Health.STATE_FAILING)
    assert failing.endpoint_health.HasField("failing_start_time")
    assert failing.endpoint_health.response_code == 500
    await eventually(lambda: any(b"endpoint_failing" in it for it in endpoint.bodies))
    endpoint.status = 200

    await shows(pair, made.name, Health.STATE_HEALTHY)
    await eventually(lambda: any(b"endpoint_recovered" in it for it in endpoint.bodies))
    assert made.name.encode() in endpoint.bodies[0]
    assert await watched(pair, 2) == ["KIND_FAILING", "KIND_RECOVERED"]


async def test_url_is_verified_before_anything_is_sent(
    pair: Pair, receiver: Receiver, endpoint: Endpoint
) -> None:
    """
    A URL that does not answer its challenge is told; asked again, it answers, and events arrive.
    """
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2", verify_url=True)
    assert made.status_reason == Subscription.STATUS_REASON_UNVERIFIED
    await shows(pair, made.name, Health.STATE_UNVERIFIED)
    listed = await pair.config.ListEndpointEvents(
        config_service_pb2.ListEndpointEventsRequest(
            parent="accounts/-", filter=f'subscription = "{made.name}"'
        )
    )
    (failed,) = listed.endpoint_events
    assert (failed.kind, failed.response_code) == (EndpointEvent.KIND_URL_NOT_VERIFIED, 500)
    assert "500" in failed.detail

    endpoint.answers_challenges = True
    await pair.set_status(made.name, Subscription.STATUS_ACTIVE)
    verified = await shows(pair, made.name, Health.STATE_HEALTHY)
    assert verified.status == Subscription.STATUS_ACTIVE
    endpoint.status = 200
    await decided(pair, made.name, Reason.REASON_UNSPECIFIED)
    await pair.publish(shipped("sent"))
    await eventually(
        lambda: any(it.headers.get("x-shipedge-event-id") == "sent" for it in receiver.requests)
    )


async def test_gone_sets_a_subscription_inactive(
    pair: Pair, receiver: Receiver, endpoint: Endpoint
) -> None:
    """
    410 sets the subscription Inactive, until its owner sets it Active.

    Events that it misses meanwhile are counted.
    """
    endpoint.status = 410
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await pair.known(made.name)
    await pair.publish(shipped("gone"))

    gone = await shows(pair, made.name, Health.STATE_GONE)
    assert gone.status == Subscription.STATUS_INACTIVE
    await eventually(lambda: any(b"endpoint_deactivated" in it for it in endpoint.bodies))
    await pair.publish(shipped("missed"))
    request = config_service_pb2.GetSubscriptionRequest(name=made.name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await pair.config.GetSubscription(request)).skipped_event_count != 1:
            await asyncio.sleep(0.1)

    endpoint.status = 200
    await pair.set_status(made.name, Subscription.STATUS_ACTIVE)
    await decided(pair, made.name, Reason.REASON_UNSPECIFIED)
    await pair.publish(shipped("back"))
    await eventually(
        lambda: any(it.headers["x-shipedge-event-id"] == "back" for it in receiver.requests)
    )
    await shows(pair, made.name, Health.STATE_HEALTHY)

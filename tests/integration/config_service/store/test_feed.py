"""
The feed over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from config_service.store import feed
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1 import feed_service_pb2
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import create

pytestmark = pytest.mark.anyio

Answer = feed_service_pb2.WatchSubscriptionsResponse
Request = feed_service_pb2.WatchSubscriptionsRequest


def watch(running: Running, after: int = 0) -> Any:
    """
    Open the feed, as a reader that acknowledges nothing.
    """
    return running.feed.WatchSubscriptions(iter([Request(after_revision=after, dispatcher="test")]))


async def snapshot(stream: Any) -> tuple[list[str], int]:
    """
    Read a snapshot: the names in it and its revision.
    """
    names: list[str] = []
    async for answer in stream:
        names += [it.subscription.name for it in answer.changes]
        if answer.snapshot_complete:
            return names, answer.revision
    raise AssertionError("the feed ended")


async def next_change(stream: Any) -> Answer:
    """
    Read on to an answer with changes.
    """
    async with asyncio.timeout(30):
        async for answer in stream:
            if answer.changes:
                return cast("Answer", answer)
    raise AssertionError("the feed ended")


async def test_snapshot_then_changes(running: Running) -> None:
    """
    The feed begins with what is there and goes on with what changes, secrets included.
    """
    made = await create(running)
    stream = watch(running)
    names, revision = await snapshot(stream)
    assert names == [made.name]

    other = await create(running)
    answer = await next_change(stream)

    (change,) = answer.changes
    assert change.subscription.name == other.name
    assert change.subscription.custom_headers[0].value == "marker-in-header"
    assert change.subscription.signing_secrets[0].secret == other.signing_secret
    assert answer.revision == change.revision > revision


async def test_resumed_feed_carries_changes_and_deletions(running: Running) -> None:
    """
    After a break the feed goes on where it ended, deletions included.
    """
    made, gone = await create(running), await create(running)
    _, revision = await snapshot(watch(running))
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=gone.name))
    await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=made.name, description="changed")
        )
    )

    answer = await next_change(watch(running, revision))

    deleted, changed = answer.changes
    assert deleted.deleted_name == gone.name
    assert changed.subscription.description == "changed"


async def test_deleted_is_not_in_a_snapshot(running: Running) -> None:
    """
    A snapshot holds what exists.
    """
    gone = await create(running)
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=gone.name))

    names, _ = await snapshot(watch(running))

    assert names == []


async def test_quiet_feed_gives_signs_of_life(running: Running) -> None:
    """
    Without changes the feed says how far it is.
    """
    await create(running)
    stream = watch(running)
    _, revision = await snapshot(stream)

    async with asyncio.timeout(30):
        answer = await anext(aiter(stream))

    assert (list(answer.changes), answer.revision) == ([], revision)


async def test_concurrent_writers_lose_nothing(running: Running) -> None:
    """
    Revisions come in the order of the commits: a reader that follows misses no change.
    """
    stream = watch(running)
    await snapshot(stream)

    made = await asyncio.gather(*(create(running) for _ in range(20)))

    seen: list[str] = []
    revisions: list[int] = []
    while len(seen) < 20:
        answer = await next_change(stream)
        seen += [it.subscription.name for it in answer.changes]
        revisions += [it.revision for it in answer.changes]
    assert set(seen) == {it.name for it in made}
    assert revisions == sorted(revisions)


async def test_reader_acknowledges_what_it_applied(running: Running) -> None:
    """
    Acknowledgements and answers cross on one stream.
    """
    stream = running.feed.WatchSubscriptions()
    await stream.write(Request(dispatcher="test"))
    _, revision = await snapshot(stream)
    for _ in range(3):
        await stream.write(Request(applied_revision=revision))
        made = await create(running)
        answer = await next_change(stream)
        revision = answer.revision
        assert [it.subscription.name for it in answer.changes] == [made.name]


async def test_reader_that_says_nothing_is_refused(running: Running) -> None:
    """
    A stream of requests that ends before the first message opens no feed.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.feed.WatchSubscriptions(iter(())).read()

    assert read_error(raised.value).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("after", [1, 999])
async def test_revision_that_cannot_be_resumed(running: Running, after: int) -> None:
    """
    Behind forgotten deletions, and beyond what there is, a reader must begin anew.
    """
    for _ in range(2):
        gone = await create(running)
        await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=gone.name))
    assert await feed.compact(running.engine, timedelta(seconds=-1)) == 2

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watch(running, after).read()

    detail = read_error(raised.value)
    assert (detail.code, detail.reason) == ("OUT_OF_RANGE", "REVISION_COMPACTED")


def report(made: Subscription, kind: Any, **over: Any) -> EndpointEvent:
    """
    Make a report about a subscription as it is.
    """
    values: dict[str, Any] = {
        "endpoint_event_id": f"report-{kind}",
        "subscription": made.name,
        "subscription_revision": made.revision,
        "kind": kind,
        "occur_time": Timestamp(seconds=1_700_000_000),
        "failure_kind": "timeout",
    }
    return EndpointEvent(**(values | over))


async def reported(running: Running, *events: EndpointEvent) -> int:
    """
    Send reports; return how many were stale.
    """
    request = feed_service_pb2.ReportEndpointEventsRequest(endpoint_events=events)
    answer = await running.feed.ReportEndpointEvents(request)
    return int(answer.stale_count)


async def test_failing_shows_on_the_subscription(running: Running) -> None:
    """
    What the dispatch service learnt is shown; it changes nothing else.
    """
    made = await create(running)
    event = report(made, EndpointEvent.KIND_FAILING, failing_since=Timestamp(seconds=1_600_000_000))

    assert await reported(running, event) == 0

    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.endpoint_health.state == EndpointHealth.STATE_FAILING
    assert got.endpoint_health.failing_since.seconds == 1_600_000_000
    assert got.revision == made.revision


async def test_gone_sets_it_inactive_once(running: Running) -> None:
    """
    410 sets a subscription Inactive with the reason; repeating the report changes nothing.
    """
    made = await create(running)
    event = report(made, EndpointEvent.KIND_GONE)
    await reported(running, event)

    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.status == Subscription.STATUS_INACTIVE
    assert got.status_reason == Subscription.STATUS_REASON_GONE

    await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=made.name, status=Subscription.STATUS_ACTIVE)
        )
    )
    await reported(running, event)
    again = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert again.status == Subscription.STATUS_ACTIVE
    assert again.status_reason == Subscription.STATUS_REASON_SET


async def test_stale_report_has_no_effect(running: Running) -> None:
    """
    A report about an older revision than the last change is noted only.
    """
    made = await create(running)
    await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(subscription=Subscription(name=made.name, description="x"))
    )

    assert await reported(running, report(made, EndpointEvent.KIND_GONE)) == 1

    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.status == Subscription.STATUS_ACTIVE


async def test_suppressed_events_are_counted(running: Running) -> None:
    """
    Events that were not sent because it was Inactive are counted until it is Active again.
    """
    made = await create(running, status=Subscription.STATUS_INACTIVE)
    await reported(running, report(made, EndpointEvent.KIND_SUPPRESSED, suppressed_event_count=3))
    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.suppressed_event_count == 3

    changed = await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=made.name, status=Subscription.STATUS_ACTIVE)
        )
    )
    assert changed.suppressed_event_count == 0

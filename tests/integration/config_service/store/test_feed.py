"""
The feed over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from config_service.store.feed import history, pages
from config_service.store.feed.history import Position
from config_service.store.feed.pages import NOWHERE
from config_service.store.schema import feed_history
from service_runtime.database.engine import writing
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from shipedge.webhooks.events.v1.failure_kind_pb2 import FAILURE_KIND_TIMEOUT
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import create

pytestmark = pytest.mark.anyio

Answer = feed_service_pb2.WatchConfigurationResponse
Request = feed_service_pb2.WatchConfigurationRequest


def watch(running: Running, after: Position = NOWHERE) -> Any:
    """
    Open the feed, as a reader that acknowledges nothing.
    """
    first = Request(after_revision=after.revision, digest=after.digest, replica="test")
    return running.feed.WatchConfiguration(iter([first]))


async def snapshot(stream: Any) -> tuple[list[str], Position]:
    """
    Read a snapshot: the names in it and its position.
    """
    names: list[str] = []
    async for answer in stream:
        names += [it.subscription.subscription.name or it.deleted_name for it in answer.changes]
        if answer.snapshot_complete:
            return names, Position(answer.revision, answer.digest)
    raise AssertionError("the feed ended")


async def until_complete(stream: Any) -> AsyncIterator[Answer]:
    """
    Yield the answers of a snapshot.
    """
    async for answer in stream:
        yield answer
        if answer.snapshot_complete:
            return


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
    names, position = await snapshot(stream)
    assert names == [made.name]

    other = await create(running)
    answer = await next_change(stream)

    (change,) = answer.changes
    assert change.subscription.subscription.name == other.name
    assert change.subscription.subscription.custom_headers[0].value == "marker-in-header"
    assert change.subscription.signing_secrets[0].secret == other.signing_secret
    assert answer.revision == change.revision > position.revision


async def test_resumed_feed_carries_changes_and_deletions(running: Running) -> None:
    """
    After a break the feed goes on where it ended, deletions included.
    """
    made, gone = await create(running), await create(running)
    _, position = await snapshot(watch(running))
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=gone.name))
    await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=made.name, description="changed")
        )
    )

    answer = await next_change(watch(running, position))

    deleted, changed = answer.changes
    assert deleted.deleted_name == gone.name
    assert changed.subscription.subscription.description == "changed"


@pytest.mark.slow
async def test_deleted_is_in_a_snapshot_as_its_name(running: Running) -> None:
    """
    A reader knows what was deleted from what is missing.
    """
    gone = await create(running)
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=gone.name))

    answers = [answer async for answer in until_complete(watch(running))]

    assert [it.deleted_name for answer in answers for it in answer.changes] == [gone.name]


@pytest.mark.slow
async def test_quiet_feed_gives_signs_of_life(running: Running) -> None:
    """
    Without changes the feed says how far it is.
    """
    await create(running)
    stream = watch(running)
    _, position = await snapshot(stream)

    async with asyncio.timeout(30):
        answer = await anext(aiter(stream))

    assert list(answer.changes) == []
    assert Position(answer.revision, answer.digest) == position
    assert answer.HasField("config_time")


async def test_answers_say_when_the_last_request_came(running: Running) -> None:
    """
    That of the request, however long the answer took: a reader compares its clock with it.
    """
    stream: Any = running.feed.WatchConfiguration()
    await stream.write(Request(replica="test", request_number=1))
    first, heartbeat = await stream.read(), await stream.read()
    await stream.write(Request(applied_revision=heartbeat.revision, request_number=2))
    while (second := await stream.read()).request_number == 1:
        pass
    stream.cancel()

    assert (first.request_number, heartbeat.request_number, second.request_number) == (1, 1, 2)
    came = [it.request_time.ToNanoseconds() for it in (first, heartbeat, second)]
    assert came[0] <= first.config_time.ToNanoseconds()
    assert came[1] < heartbeat.config_time.ToNanoseconds()
    assert came[1] < came[2]


@pytest.mark.slow
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
        seen += [it.subscription.subscription.name for it in answer.changes]
        revisions += [it.revision for it in answer.changes]
    assert set(seen) == {it.name for it in made}
    assert revisions == sorted(revisions)


@pytest.mark.slow
async def test_reader_acknowledges_what_it_applied(running: Running) -> None:
    """
    Acknowledgements and answers cross on one stream.
    """
    stream = running.feed.WatchConfiguration()
    await stream.write(Request(replica="test"))
    revision = (await snapshot(stream))[1].revision
    for _ in range(3):
        await stream.write(Request(applied_revision=revision))
        made = await create(running)
        answer = await next_change(stream)
        revision = answer.revision
        assert [it.subscription.subscription.name for it in answer.changes] == [made.name]


async def test_reader_that_says_nothing_is_refused(running: Running) -> None:
    """
    A stream of requests that ends before the first message opens no feed.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.feed.WatchConfiguration(iter(())).read()

    assert read_error(raised.value).code == "INVALID_ARGUMENT"


async def refusal(running: Running, after: Position) -> tuple[str, str]:
    """
    Open the feed where it cannot go on; return code and reason.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watch(running, after).read()
    detail = read_error(raised.value)
    return detail.code, detail.reason


@pytest.mark.slow
async def test_revision_behind_forgotten_deletions_cannot_be_resumed(running: Running) -> None:
    """
    A reader that has missed a deletion must begin anew.
    """
    await create(running)
    _, position = await snapshot(watch(running))
    for _ in range(2):
        gone = await create(running)
        await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=gone.name))
    assert await pages.compact(running.engine, timedelta(seconds=-1)) == 2

    assert await refusal(running, position) == ("OUT_OF_RANGE", "REVISION_COMPACTED")


@pytest.mark.slow
async def test_revision_whose_digest_is_forgotten_cannot_be_resumed(running: Running) -> None:
    """
    The newest digests are kept; a reader that is further behind must begin anew.
    """
    await create(running)
    _, position = await snapshot(watch(running))
    for _ in range(3):
        await create(running)
    _, newest = await snapshot(watch(running))

    assert await history.prune(running.engine, kept=2) == 3

    assert await refusal(running, position) == ("OUT_OF_RANGE", "REVISION_COMPACTED")
    await create(running)
    assert (await next_change(watch(running, newest))).revision > newest.revision


@pytest.mark.parametrize(
    ("ahead", "digest"),
    [(0, b"other"), (0, b""), (1000, None), (1000, b"other")],
    ids=["same revision", "no digest", "later revision", "later revision and digest"],
)
async def test_revision_of_another_history_is_refused(
    running: Running, ahead: int, digest: bytes | None
) -> None:
    """
    A revision is resumed only in the history that it comes from, whatever its number.
    """
    await create(running)
    _, position = await snapshot(watch(running))
    other = Position(position.revision + ahead, position.digest if digest is None else digest)

    assert await refusal(running, other) == ("OUT_OF_RANGE", "HISTORY_DIFFERS")


async def test_open_feed_ends_when_the_history_is_replaced(running: Running) -> None:
    """
    A database that is replaced under a running service is noticed at the next look.
    """
    await create(running)
    stream = watch(running)
    await snapshot(stream)

    async with writing(running.engine) as db:
        await db.execute(sa.update(feed_history).values(digest=b"restored"))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await next_change(stream)
    assert read_error(raised.value).reason == "HISTORY_DIFFERS"


def test_digest_depends_on_everything_before() -> None:
    """
    Two histories differ from their first difference on.
    """
    first = history.next_digest(b"", 1, "accounts/1/settings", b"salt")
    others = {
        history.next_digest(b"x", 1, "accounts/1/settings", b"salt"),
        history.next_digest(b"", 2, "accounts/1/settings", b"salt"),
        history.next_digest(b"", 1, "accounts/2/settings", b"salt"),
        history.next_digest(b"", 1, "accounts/1/settings", b"tlas"),
    }

    assert len({first, *others}) == 5
    assert len(first) == 32


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
        "failure_kind": FAILURE_KIND_TIMEOUT,
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
    event = report(
        made, EndpointEvent.KIND_FAILING, failing_start_time=Timestamp(seconds=1_600_000_000)
    )

    assert await reported(running, event) == 0

    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.endpoint_health.state == EndpointHealth.STATE_FAILING
    assert got.endpoint_health.failing_start_time.seconds == 1_600_000_000
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
    assert again.status_reason == Subscription.STATUS_REASON_MANUAL


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


async def test_skipped_events_are_counted(running: Running) -> None:
    """
    Events that were not sent because it was Inactive are counted until it is Active again.
    """
    made = await create(running, status=Subscription.STATUS_INACTIVE)
    await reported(running, report(made, EndpointEvent.KIND_EVENTS_SKIPPED, skipped_event_count=3))
    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.skipped_event_count == 3

    changed = await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=made.name, status=Subscription.STATUS_ACTIVE)
        )
    )
    assert changed.skipped_event_count == 0

"""
The feed as a dispatch service follows it, from a config service that says what a test wants.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import grpc
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.work import EndpointKey
from dispatch_service.feed import snapshot
from dispatch_service.feed.applier import FeedApplier
from dispatch_service.feed.cache import ResourceCache
from dispatch_service.feed.client import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    FeedClient,
)
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage import urls
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import server
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import (
    subscription_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
    feed_service_pb2_grpc,
)
from tests.support.databases import free_port

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 30.0
RING = KeyRing({"test": b"k" * 32}, b"h" * 32)

Answer = feed_service_pb2.WatchConfigurationResponse
Request = feed_service_pb2.WatchConfigurationRequest


def settings_of(account: int, revision: int = 1) -> feed_service_pb2.FeedChange:
    """
    Make a change of an account's settings.
    """
    made = feed_service_pb2.FeedChange(revision=revision)
    made.owner_settings.name = f"accounts/{account}/settings"
    return made


def subscribed(
    status: subscription_pb2.Subscription.Status.ValueType,
) -> feed_service_pb2.FeedChange:
    """
    Make a change of the status of a subscription.
    """
    made = feed_service_pb2.FeedChange(revision=1)
    made.subscription.subscription.name = "accounts/100/subscriptions/shipped"
    made.subscription.subscription.url = "https://example.com/hooks"
    made.subscription.subscription.status = status
    return made


class Feed(feed_service_pb2_grpc.FeedServiceServicer):
    """
    Tells its answers, and waits at the end of the first until it may go on.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.may_go_on = asyncio.Event()
        self.first = Request()
        self.acknowledged: list[int] = []
        self._answers = answers

    async def WatchConfiguration(
        self, requests: AsyncIterator[Request], context: Any
    ) -> AsyncIterator[Answer]:
        """
        Tell everything once, each answer after the last one was acknowledged.
        """
        self.first = await anext(requests)
        for answer in self._answers:
            yield answer
            self.acknowledged.append((await anext(requests)).applied_revision)
            await self.may_go_on.wait()

    async def ReportEndpointEvents(
        self, request: feed_service_pb2.ReportEndpointEventsRequest, context: Any
    ) -> feed_service_pb2.ReportEndpointEventsResponse:
        """
        Hear reports.
        """
        return feed_service_pb2.ReportEndpointEventsResponse()


class Heard:
    """
    A listener that keeps what it is told.
    """

    def __init__(self) -> None:
        self.endpoints: list[EndpointKey] = []
        self.changes = 0
        self.since: dict[str, datetime] = {}
        self.came_back: list[str] = []

    def matches_since(self, name: str, since: datetime) -> None:
        """
        Keep since when a subscription matches.
        """
        self.since[name] = since

    def returned(self, name: str, since: datetime | None) -> None:
        """
        Keep what is no longer held.
        """
        self.came_back.append(name)

    def resumed(self, endpoint: EndpointKey) -> None:
        """
        Keep an endpoint.
        """
        self.endpoints.append(endpoint)

    def changes_stored(self) -> None:
        """
        Count an answer.
        """
        self.changes += 1


CHANNELS: list[grpc.aio.Channel] = []  # The last one that was opened comes last.


@asynccontextmanager
async def client_of(
    store: AsyncEngine, feed: Feed, heard: Heard | None = None
) -> AsyncIterator[FeedClient]:
    """
    Yield a client of a feed that is served.
    """
    address = f"127.0.0.1:{free_port()}"
    grpc_server, _ = server.build(address, interceptors=[], credentials=None)
    feed_service_pb2_grpc.add_FeedServiceServicer_to_server(feed, grpc_server)
    await grpc_server.start()
    async with channel.connect(address) as connection:
        CHANNELS.append(connection)
        failures = FailureLog("feed.item_set_aside")
        cache = ResourceCache(SubscriptionIndex(), CallerDirectory(), RING, UrlRules(), failures)
        hold = timedelta(days=1)
        applier = FeedApplier(store, RING, cache, heard or Heard(), failures, hold=hold)
        yield FeedClient(connection, applier, replica="test")
    await server.stop(grpc_server, 0)


def closing(client: FeedClient) -> aclosing[AsyncGenerator[int, None]]:
    """
    Follow a feed until the end of the block. A call that outlives the loop of its test breaks the
    next one.
    """
    return aclosing(cast("AsyncGenerator[int, None]", client.follow()))


@asynccontextmanager
async def following(
    store: AsyncEngine, feed: Feed, heard: Heard | None = None
) -> AsyncIterator[AsyncIterator[int]]:
    """
    Follow a feed; yield the revisions as they are applied.
    """
    async with client_of(store, feed, heard) as client, closing(client) as revisions:
        yield revisions


async def store_by_another(store: AsyncEngine, *changes: feed_service_pb2.FeedChange) -> None:
    """
    Store changes as another process of the same database does.
    """
    async with writing(store) as db:
        await snapshot.store_changes(db, changes, RING, lambda _: "")


async def test_snapshot_drops_what_is_gone_but_nothing_newer(store: AsyncEngine) -> None:
    """
    What was stored before and is not named is gone; what another process stores meanwhile,
    from a later revision than the snapshot's, stays.
    """
    await store_by_another(store, settings_of(1), settings_of(2))
    feed = Feed(
        [
            Answer(changes=[settings_of(2)]),
            Answer(revision=5, snapshot_complete=True),
        ]
    )

    async with asyncio.timeout(PATIENCE_SECONDS), following(store, feed) as revisions:
        await anext(revisions)
        await store_by_another(store, settings_of(3, revision=6))
        feed.may_go_on.set()
        assert await anext(revisions) == 5

    assert await snapshot.stored_names(store) == {
        "accounts/2/settings",
        "accounts/3/settings",
    }


async def test_urls_are_recorded_with_what_brings_them(store: AsyncEngine) -> None:
    """
    Each URL that a subscription has had is there, in its normal form, once a change is applied.
    """
    first, second = (
        subscribed(subscription_pb2.Subscription.STATUS_ACTIVE),
        subscribed(subscription_pb2.Subscription.STATUS_ACTIVE),
    )
    second.subscription.subscription.url = "HTTPS://Example.com:443/other?token=x"
    feed = Feed([Answer(revision=1, changes=[settings_of(1), first]), Answer(changes=[second])])
    feed.may_go_on.set()

    async with asyncio.timeout(PATIENCE_SECONDS), following(store, feed) as revisions:
        await anext(revisions)
        await anext(revisions)

    texts = ["https://example.com/hooks", "https://example.com/other?token=x"]
    wanted = {("accounts/100", RING.keyed_hash("url", text)): text for text in texts}
    async with reading(store) as db:
        assert await urls.opened(db, RING, wanted) == wanted


async def test_listener_hears_of_reactivations_and_answers(store: AsyncEngine) -> None:
    """
    What a subscription that is Active again needs, and what waits for updates, is told at once.
    """
    heard = Heard()
    status = subscription_pb2.Subscription.Status
    changes = (status.STATUS_ACTIVE, status.STATUS_INACTIVE, status.STATUS_ACTIVE)
    feed = Feed([Answer(changes=[subscribed(it)], revision=n) for n, it in enumerate(changes, 1)])
    feed.may_go_on.set()

    async with asyncio.timeout(PATIENCE_SECONDS), following(store, feed, heard) as revisions:
        for _ in changes:
            await anext(revisions)

    assert heard.endpoints == [("accounts/100", "https://example.com:443")]
    assert heard.changes == len(changes)


async def test_each_answer_is_acknowledged_once_it_is_applied(store: AsyncEngine) -> None:
    """
    The first message says where to begin, each later one what is in memory.
    """
    feed = Feed([Answer(changes=[settings_of(1)]), Answer(revision=4, snapshot_complete=True)])
    feed.may_go_on.set()

    async with asyncio.timeout(PATIENCE_SECONDS), following(store, feed) as revisions:
        assert [revision async for revision in revisions] == [0, 4]

    assert (feed.first.after_revision, feed.first.replica) == (0, "test")
    assert feed.acknowledged == [0, 4]


async def test_feed_goes_on_after_its_channel_was_closed(store: AsyncEngine) -> None:
    """
    The channel is replaced when there is a new certificate; the process must not end with it.
    """
    feed = OpenFeed([Answer(revision=4, snapshot_complete=True)])

    async with asyncio.timeout(PATIENCE_SECONDS), client_of(store, feed) as client:
        following_it = asyncio.create_task(client.run_once())
        while not client._connected:
            await asyncio.sleep(0.01)
        await CHANNELS[-1].close(0)
        await following_it

    assert not following_it.cancelled()


async def test_feed_that_breaks_is_opened_again_later_each_time(store: AsyncEngine) -> None:
    """
    The pause grows while no answer comes, up to a bound, and is short again after one.
    """
    feed = Feed([Answer(revision=1, snapshot_complete=True)])
    feed.may_go_on.set()

    async with asyncio.timeout(PATIENCE_SECONDS), client_of(store, feed) as client:
        pauses = [client.next_pause() for _ in range(20)]
        await client.run_once()
        again = client.next_pause()

    assert pauses[0] <= 1.5 * FIRST_PAUSE_SECONDS
    assert 0.5 * LONGEST_PAUSE_SECONDS <= pauses[-1] <= 1.5 * LONGEST_PAUSE_SECONDS
    assert again <= 1.5 * FIRST_PAUSE_SECONDS


def at(seconds: float) -> datetime:
    """
    Make an instant of the config service's database, whose clock is far behind.
    """
    return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def answer_at(seconds: float, *changes: feed_service_pb2.FeedChange, **more: Any) -> Answer:
    """
    Make an answer with its time, to the first request, which came at that time.
    """
    made = Answer(changes=changes, request_number=1, **more)
    made.config_time.FromDatetime(at(seconds))
    made.request_time.FromDatetime(at(seconds))
    return made


async def database_time(store: AsyncEngine) -> datetime:
    async with store.connect() as db:
        now: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
    return now


async def test_listener_hears_since_when_a_subscription_matches(store: AsyncEngine) -> None:
    """
    The instant is converted to the own clock. What a first snapshot holds is not told: events
    wait for that. Nor is a revision that matches as before.
    """
    heard = Heard()
    status = subscription_pb2.Subscription.STATUS_ACTIVE
    first, new, again = subscribed(status), subscribed(status), subscribed(status)
    for it in (new, again):
        it.subscription.subscription.name = "accounts/100/subscriptions/new"
    for it in (first, new, again):
        it.matches_since.FromDatetime(at(90))
    feed = Feed(
        [
            answer_at(100, first, revision=1, snapshot_complete=True),
            answer_at(100, new, revision=2),
            answer_at(101, revision=2),
            answer_at(101, again, revision=3),
        ]
    )
    feed.may_go_on.set()

    began = await database_time(store)
    async with asyncio.timeout(PATIENCE_SECONDS), client_of(store, feed, heard) as client:
        await client.run_once()
        applier = client._applier
    took = await database_time(store) - began

    (since,) = heard.since.values()
    assert list(heard.since) == [new.subscription.subscription.name]
    assert began - timedelta(seconds=11) - took <= since <= began + took - timedelta(seconds=10)
    assert (applier.position.revision, applier.known_until) == (3, at(101))


class OpenFeed(Feed):
    """
    Tells its answers and stays open; tells when the reader has ended its requests.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__(answers)
        self.reader_left = asyncio.Event()

    async def WatchConfiguration(
        self, requests: AsyncIterator[Request], context: Any
    ) -> AsyncIterator[Answer]:
        """
        Tell everything at once, and hear all requests.
        """
        for answer in self._answers:
            yield answer
        async for _ in requests:
            pass
        self.reader_left.set()
        await asyncio.Event().wait()


async def test_who_stops_ends_its_requests_before_the_connection(store: AsyncEngine) -> None:
    """
    The config service hears that a process matches no more while the stream is still open.
    """
    feed = OpenFeed([Answer(revision=4, snapshot_complete=True)])

    async with asyncio.timeout(PATIENCE_SECONDS), client_of(store, feed) as client:
        async with closing(client) as revisions:
            assert await anext(revisions) == 4
            await client.leave()
            await feed.reader_left.wait()
            await client.leave()

"""
The feed over the wire, and what wakes its readers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from config_service.store.changes import changing
from config_service.store.endpoint_events import reports
from config_service.store.feed import pages
from config_service.store.feed.history import Position
from config_service.store.feed.pages import FeedPage
from config_service.store.store import Store
from service_runtime.keys.keyring import KeyRing
from service_runtime.observability.tasks import start_watched
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
    feed_service_pb2_grpc,
)
from shipedge.webhooks.feed.v1.feed_service_pb2 import (
    WatchConfigurationRequest,
    WatchConfigurationResponse,
)

if TYPE_CHECKING:
    import grpc

    from config_service.api.confirmations import Confirmations

    Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger()


BREAK_SECONDS = 0.1
"""
How long after the end of its requests a reader counts as one that has left.
"""


class ChangeNotifier:
    """
    Wakes all that wait for a change; sets *wakeups*, those of loops, at each.
    """

    def __init__(self, *wakeups: asyncio.Event) -> None:
        self._wakeups = wakeups
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """
        Wake everybody who waits now.
        """
        for wakeup in self._wakeups:
            wakeup.set()
        self._changed.set()
        self._changed = asyncio.Event()

    def next_change(self) -> asyncio.Event:
        """
        Return what is set at the next change from now on.
        """
        return self._changed


async def wait(changed: asyncio.Event, seconds: float) -> None:
    """
    Wait until *changed* is set, no longer than *seconds*.
    """
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass


async def _first(
    requests: AsyncIterator[WatchConfigurationRequest],
) -> WatchConfigurationRequest:
    """
    Return the first message of a reader. Raises `InvalidArgument` if there is none.
    """
    async for request in requests:
        return request
    raise InvalidArgument("The first message must say where to begin.")


class _LastRequest:
    """
    The last request of a stream that has come.
    """

    def __init__(self, first: WatchConfigurationRequest) -> None:
        self.came(first)

    def came(self, request: WatchConfigurationRequest) -> None:
        """
        Take notice of a request that has come now.
        """
        self._number, self._came_at = request.request_number, time.monotonic()

    def age(self) -> tuple[int, timedelta]:
        """
        Return its number and how long ago it came.
        """
        return self._number, timedelta(seconds=time.monotonic() - self._came_at)


def _answer(
    page: FeedPage,
    request: tuple[int, timedelta],
    link_key: bytes,
    *,
    snapshot_complete: bool = False,
) -> WatchConfigurationResponse:
    """
    Make an answer of a page that was read when the last *request* was as old as it says.
    """
    number, age = request
    answer = WatchConfigurationResponse(
        revision=page.position.revision,
        digest=page.position.digest,
        changes=page.changes,
        snapshot_complete=snapshot_complete,
        request_number=number,
        link_key=link_key,
    )
    answer.config_time.FromDatetime(page.time)
    answer.request_time.FromDatetime(page.time - age)
    return answer


class FeedServicer(feed_service_pb2_grpc.FeedServiceServicer):
    """
    Serves `FeedService`.

    Changes of this process wake the feed at once; those of other processes are looked for every
    *poll_seconds*. A heartbeat is sent every *heartbeat_seconds*.
    """

    def __init__(
        self,
        store: Store,
        notifier: ChangeNotifier,
        confirmations: Confirmations,
        *,
        poll_seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._confirmations = confirmations
        self._poll_seconds = poll_seconds
        self._heartbeat_seconds = heartbeat_seconds

    @property
    def _link_key(self) -> bytes:
        return self._store.sealing.link_key

    @property
    def _ring(self) -> KeyRing:
        return self._store.sealing.ring

    async def WatchConfiguration(
        self, requests: AsyncIterator[WatchConfigurationRequest], context: Context
    ) -> AsyncIterator[WatchConfigurationResponse]:
        """
        Stream a snapshot to readers without a revision, then every change. Raises
        `InvalidArgument` if no first message comes.
        """
        first = await _first(requests)
        log.info("feed.opened", name=first.replica, revision=first.after_revision)
        last = _LastRequest(first)
        async with self._acknowledged(first, requests, last):
            async for answer in self._answers(first, last):
                yield answer

    @asynccontextmanager
    async def _acknowledged(
        self,
        first: WatchConfigurationRequest,
        requests: AsyncIterator[WatchConfigurationRequest],
        last: _LastRequest,
    ) -> AsyncIterator[None]:
        """
        Read what a reader acknowledges while the block runs. One that ends its requests reads
        on, and is not waited for.
        """
        stream, reader = object(), first.replica
        self._confirmations.acknowledge(stream, reader, first.after_revision)

        async def read() -> None:
            async for request in requests:
                last.came(request)
                self._confirmations.acknowledge(stream, reader, request.applied_revision)
            # The requests of a broken connection end too, shortly before this is cancelled.
            await asyncio.sleep(BREAK_SECONDS)
            self._confirmations.left(stream, reader)

        reading = start_watched(read(), "acknowledgements")
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._confirmations.disconnected(stream, reader)

    async def _answers(
        self, first: WatchConfigurationRequest, last: _LastRequest
    ) -> AsyncIterator[WatchConfigurationResponse]:
        after = Position(first.after_revision, first.digest)
        if not (after.revision or after.digest):
            after = await shielded(pages.position(self._store.engine))
            request = last.age()
            async for page in pages.snapshot(self._store.engine, self._ring, after):
                complete = page.position is after
                yield _answer(page, request, self._link_key, snapshot_complete=complete)
                request = last.age()
        else:
            await shielded(pages.check_resumable(self._store.engine, after))
        async for answer in self._changes(after, last):
            yield answer

    async def _changes(
        self, after: Position, last: _LastRequest
    ) -> AsyncIterator[WatchConfigurationResponse]:
        # A reader that lacks nothing waits for the key of links.
        last_answer = time.monotonic() - self._heartbeat_seconds
        while True:
            # Taken before the read, so that no change falls between the read and the wait.
            changed, request = self._notifier.next_change(), last.age()
            page = await shielded(pages.changes_after(self._store.engine, after, self._ring))
            quiet = time.monotonic() - last_answer
            if page.changes or quiet >= self._heartbeat_seconds:
                yield _answer(page, request, self._link_key)
                last_answer = time.monotonic()
            after = page.position
            if len(page.changes) < pages.BATCH:
                await wait(changed, self._poll_seconds)

    async def ReportEndpointEvents(
        self, request: feed_service_pb2.ReportEndpointEventsRequest, context: Context
    ) -> feed_service_pb2.ReportEndpointEventsResponse:
        """
        Store endpoint events of the dispatch service and apply them to subscriptions.
        """
        reports.check(request)
        async with changing(self._store.engine) as db:
            stale = await reports.store(db, request.endpoint_events, self._store)
        # Not waited for: it is the dispatch service that calls.
        self._notifier.notify()
        return feed_service_pb2.ReportEndpointEventsResponse(stale_count=stale)

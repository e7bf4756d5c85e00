"""
The client of the feed: it applies each answer to the database first, then in memory.

While the config service is away the service works with the last stored snapshot.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import grpc
import structlog

from dispatch_service.domain.work import EndpointKey
from dispatch_service.feed import snapshot
from dispatch_service.feed.cache import ResourceCache
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import writing
from service_runtime.keys.keyring import KeyRing
from shipedge.webhooks.config.v1 import feed_service_pb2, feed_service_pb2_grpc

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

log = structlog.get_logger()


class Listener(Protocol):
    """
    What else has to be done when the feed changes something.
    """

    def resumed(self, endpoint: EndpointKey) -> None:
        """
        A subscription is Active again: much may have gathered for its endpoint.
        """

    def changes_stored(self) -> None:
        """
        Backlog updates may have been recorded.
        """


@dataclass(frozen=True, slots=True)
class _Step:
    """
    An answer, and what it means: a new revision, the end of a snapshot.
    """

    answer: feed_service_pb2.WatchSubscriptionsResponse
    new_revision: bool
    ends_snapshot: bool


class FeedClient:
    """
    Follows the feed, and goes on where it ended. *dispatcher* is the name of this process.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        ring: KeyRing,
        channel: grpc.aio.Channel,
        cache: ResourceCache,
        listener: Listener,
        *,
        dispatcher: str,
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        self._cache = cache
        self._listener = listener
        self._dispatcher = dispatcher
        self._revision = 0
        # Known before the snapshot and not named by it yet; None where no snapshot comes.
        self._unnamed: set[str] | None = None
        self._pause = FIRST_PAUSE_SECONDS

    async def load(self) -> None:
        """
        Load the stored snapshot into memory, if there is one.
        """
        revision = await snapshot.stored_revision(self._engine)
        async for change in snapshot.load(self._engine, self._ring):
            self._cache.apply(change)
        if revision is not None:
            self._revision = revision
            self._cache.subscriptions.received = True
            count = len(self._cache.subscriptions.by_name)
            log.info("feed.loaded", revision=revision, subscriptions=count)

    async def run_once(self) -> None:
        """
        Follow the feed until it ends. An error of the call is logged, all others are raised.
        """
        try:
            async for _ in self.follow():
                self._pause = FIRST_PAUSE_SECONDS
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                log.warning("feed.restarted", revision=self._revision)
                self._revision = 0
            else:
                log.warning("feed.broken", code=error.code().name, seconds=round(self._pause, 1))

    def next_pause(self) -> float:
        """
        Return how many seconds to wait before the feed is opened again: longer each time, until
        an answer was applied.
        """
        pause = self._pause * (0.5 + random.random())  # noqa: S311 - jitter is no secret
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause

    async def follow(self) -> AsyncIterator[int]:
        """
        Open the feed where the last one ended; yield the revision after each answer applied.
        """
        first = feed_service_pb2.WatchSubscriptionsRequest(
            after_revision=self._revision, dispatcher=self._dispatcher
        )
        self._unnamed = await self._known_names() if self._revision == 0 else None
        call = self._stub.WatchSubscriptions()
        try:
            await call.write(first)
            async for answer in call:
                await self.apply(answer)
                if not call.done():
                    await call.write(self._acknowledgement())
                yield self._revision
        finally:
            call.cancel()

    def _acknowledgement(self) -> feed_service_pb2.WatchSubscriptionsRequest:
        return feed_service_pb2.WatchSubscriptionsRequest(applied_revision=self._revision)

    async def _known_names(self) -> set[str]:
        """
        Return the names of all resources, of which a snapshot deletes those that it lacks.

        Read before the snapshot: what another process stores later may be newer than it.
        Memory counts too: another process may have deleted the row already.
        """
        return await snapshot.stored_names(self._engine) | self._cache.subscriptions.names()

    async def apply(self, answer: feed_service_pb2.WatchSubscriptionsResponse) -> None:
        """
        Apply one answer: to the database in one transaction, then to memory.
        """
        if self._unnamed is not None:
            self._unnamed -= {snapshot.change_name(change) for change in answer.changes}
        ends_snapshot = answer.snapshot_complete and self._unnamed is not None
        step = _Step(answer, answer.revision > self._revision or ends_snapshot, ends_snapshot)
        gone: Collection[str] = (self._unnamed or ()) if ends_snapshot else ()
        if answer.changes or step.new_revision:
            await self._store(step, gone)
        self._remember(step, gone)
        self._listener.changes_stored()
        self._end(step)

    @retry_on_conflict
    async def _store(self, step: _Step, gone: Collection[str]) -> None:
        answer = step.answer
        async with writing(self._engine) as db:
            await snapshot.store_changes(db, answer.changes, self._ring, self._cache.endpoint_of)
            if step.ends_snapshot:
                await snapshot.drop(db, gone, answer.revision)
            if step.new_revision:
                await snapshot.store_revision(db, answer.revision)

    def _remember(self, step: _Step, gone: Collection[str]) -> None:
        for change in step.answer.changes:
            resumed = self._cache.apply(change)
            if resumed is not None:
                self._listener.resumed(resumed)
        for name in gone:
            self._cache.forget(name)

    def _end(self, step: _Step) -> None:
        answer = step.answer
        if step.ends_snapshot:
            self._unnamed = None
            self._cache.subscriptions.received = True
            log.info("feed.snapshot_applied", revision=answer.revision)
        if step.new_revision:
            self._revision = answer.revision
        if answer.changes:
            log.info("feed.applied", revision=answer.revision, changes=len(answer.changes))

"""
The feed of the config service, applied: first to our own database, then to
what is held in memory. Without the config service the last snapshot serves on.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING

import grpc
import structlog

from dispatch_service.domain.credentials import compile_credential, compile_identity
from dispatch_service.domain.work import EndpointKey
from dispatch_service.feed import snapshot
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.owner_settings import compile_settings
from dispatch_service.routing.subscriptions import Subscription, compile_subscription
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import writing
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.caller_directory import CallerDirectory, read_caller
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.config.v1 import credential_pb2, feed_service_pb2, feed_service_pb2_grpc

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

log = structlog.get_logger()


class FeedClient:
    """
    Keeps a `SubscriptionIndex`, and the callers, as the config service has them.

    *resumed* is told the endpoint of a subscription that is Active again; *wished* is called
    where there may be something to be done to what waits.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        ring: KeyRing,
        channel: grpc.aio.Channel,
        subscriptions: SubscriptionIndex,
        callers: CallerDirectory,
        *,
        rules: UrlRules,
        dispatcher: str,
        resumed: Callable[[EndpointKey], None],
        wished: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        self._subscriptions = subscriptions
        self._callers = callers
        self._rules = rules
        self._dispatcher = dispatcher
        self._resumed = resumed
        self._wished = wished
        self._revision = 0
        self._not_named: set[str] | None = None
        self._pause = FIRST_PAUSE_SECONDS

    async def load(self) -> None:
        """
        Take up the stored snapshot, if there ever was one.
        """
        revision = await snapshot.stored_revision(self._engine)
        async for change in snapshot.load(self._engine, self._ring):
            self._remember(change)
        if revision is not None:
            self._revision = revision
            self._subscriptions.received = True
            log.info(
                "feed.loaded", revision=revision, subscriptions=len(self._subscriptions.by_name)
            )

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
        request = feed_service_pb2.WatchSubscriptionsRequest(
            after_revision=self._revision, dispatcher=self._dispatcher
        )
        # What another process stores from now on may be newer than the snapshot, which then does
        # not name it: only what was there before can be gone.
        at_start = self._revision == 0
        self._not_named = None
        if at_start:
            # Another process may have dropped already what is still in the memory of this one.
            stored = await snapshot.stored_names(self._engine)
            self._not_named = stored | self._subscriptions.names()
        async for answer in self._stub.WatchSubscriptions(request):
            await self.apply(answer)
            yield self._revision

    async def apply(self, answer: feed_service_pb2.WatchSubscriptionsResponse) -> None:
        """
        Apply one answer: to the database in one transaction, then to memory.
        """
        gone: Collection[str] = ()
        if self._not_named is not None:
            self._not_named -= {snapshot.change_name(change) for change in answer.changes}
        ends_snapshot = answer.snapshot_complete and self._not_named is not None
        moved = answer.revision > self._revision or ends_snapshot
        if answer.changes or moved:
            gone = await self._store(answer, moved=moved, ends_snapshot=ends_snapshot)
        for change in answer.changes:
            self._remember(change)
        for name in gone:
            self._forget(name)
        self._wished()
        self._end_answer(answer, moved=moved, ends_snapshot=ends_snapshot)

    @retry_on_conflict
    async def _store(
        self,
        answer: feed_service_pb2.WatchSubscriptionsResponse,
        *,
        moved: bool,
        ends_snapshot: bool,
    ) -> Collection[str]:
        """
        Store an answer; return the names of what a snapshot did not name any more.
        """
        gone = (self._not_named or ()) if ends_snapshot else ()
        async with writing(self._engine) as db:
            await snapshot.store_changes(db, answer.changes, self._ring, self._endpoint_of)
            if ends_snapshot:
                await snapshot.drop(db, gone, answer.revision)
            if moved:
                await snapshot.store_revision(db, answer.revision)
        return gone

    def _end_answer(
        self,
        answer: feed_service_pb2.WatchSubscriptionsResponse,
        *,
        moved: bool,
        ends_snapshot: bool,
    ) -> None:
        if ends_snapshot:
            self._not_named = None
            self._subscriptions.received = True
            log.info("feed.snapshot_applied", revision=answer.revision)
        if moved:
            self._revision = answer.revision
        if answer.changes:
            log.info("feed.applied", revision=answer.revision, changes=len(answer.changes))

    def _remember(self, change: feed_service_pb2.FeedChange) -> None:
        """
        Change what is held in memory.
        """
        match change.WhichOneof("change"):
            case "subscription":
                self._remember_subscription(
                    compile_subscription(change.subscription, self._rules, self._hashed)
                )
            case "account_settings":
                owner = names.owner_of(change.account_settings.name)
                self._subscriptions.put_settings(owner, compile_settings(change.account_settings))
            case "credential":
                self._remember_credential(change.credential)
            case "client_certificate":
                identity = compile_identity(change.client_certificate)
                self._subscriptions.identities[change.client_certificate.name] = identity
            case "caller":
                self._callers.put(read_caller(change.caller))
            case "deleted_name":
                self._forget(change.deleted_name)
            case _:
                pass

    def _remember_subscription(self, subscription: Subscription) -> None:
        before = self._subscriptions.by_name.get(subscription.name)
        if before is not None and subscription.active and not before.active:
            # Much may have gathered while it was Inactive.
            self._resumed((subscription.owner, subscription.endpoint))
        self._subscriptions.put(subscription)

    def _forget(self, name: str) -> None:
        self._subscriptions.remove(name)
        self._callers.remove(name)

    def _remember_credential(self, credential: credential_pb2.Credential) -> None:
        try:
            compiled = compile_credential(credential, self._rules)
        except (ValueError, UrlRefusedError):
            # Its deliveries fail with the reason that it is not known here.
            self._subscriptions.credentials.pop(credential.name, None)
            log.warning("feed.credential_unusable", name=credential.name)
        else:
            self._subscriptions.credentials[credential.name] = compiled

    def _endpoint_of(self, url: str) -> str:
        try:
            return parse_url(url, self._rules).endpoint
        except UrlRefusedError:
            return ""

    def _hashed(self, url: str) -> bytes:
        return self._ring.keyed_hash("url", url)

"""
A dispatch process as far as the feed is concerned, and answers of the feed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.work import EndpointKey
from dispatch_service.feed.applier import FeedApplier
from dispatch_service.feed.cache import ResourceCache
from dispatch_service.feed.position import Position
from dispatch_service.routing.index import SubscriptionIndex
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1 import subscription_pb2
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedChange, WatchConfigurationResponse

RING = KeyRing({"test": b"k" * 32}, b"h" * 32)
SHIPPED = "accounts/100/subscriptions/shipped"
OTHER = "accounts/200/subscriptions/other"
CREDENTIAL = "accounts/100/credentials/basic"
SIGNING_KEY = "accounts/100/signingKeys/shop"
CALLER = "callers/orders"
GOOD_SECRET = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
BAD_SECRET = "whsec_not base64"


class Quiet:
    """
    A listener that does nothing.
    """

    def resumed(self, endpoint: EndpointKey) -> None:
        """
        Do nothing.
        """

    def changes_stored(self) -> None:
        """
        Do nothing.
        """

    def matches_since(self, name: str, since: datetime) -> None:
        """
        Do nothing.
        """

    def returned(self, name: str, since: datetime | None) -> None:
        """
        Do nothing.
        """


class Process:
    """
    A dispatch process of the database, as far as the feed is concerned.
    """

    def __init__(self, store: AsyncEngine, hold: timedelta = timedelta(days=1)) -> None:
        failures = FailureLog("feed.item_set_aside")
        self.index, self.callers = SubscriptionIndex(), CallerDirectory()
        cache = ResourceCache(self.index, self.callers, RING, UrlRules(), failures)
        self.applier = FeedApplier(store, RING, cache, Quiet(), failures, hold=hold)

    async def snapshot(self, position: Position, *changes: FeedChange) -> None:
        """
        Apply a snapshot, of a history that is not the one of before.
        """
        self.applier.restart()
        await self.applier.begin()
        await self.applier.apply(WatchConfigurationResponse(changes=changes))
        await self.applier.apply(answer(position, complete=True))

    async def apply(self, position: Position, *changes: FeedChange) -> None:
        """
        Apply changes.
        """
        await self.applier.apply(answer(position, *changes))

    def matching(self) -> set[str]:
        """
        Return the names of the subscriptions that match events.
        """
        return {
            it.name
            for owner in ("accounts/100", "accounts/200")
            for it in self.index.of_owner(owner)
            if it.active
        }


def answer(
    position: Position, *changes: FeedChange, complete: bool = False
) -> WatchConfigurationResponse:
    """
    Make an answer.
    """
    return WatchConfigurationResponse(
        revision=position.revision,
        digest=position.digest,
        changes=changes,
        snapshot_complete=complete,
    )


def subscribed(name: str = SHIPPED, revision: int = 1, secret: str = GOOD_SECRET) -> FeedChange:
    """
    Make a change of an Active subscription.
    """
    made = FeedChange(revision=revision)
    it = made.subscription.subscription
    it.name, it.revision = name, revision
    it.url = "https://example.com/hooks"
    it.event_type, it.payload_version = "orders/shipped", "v2"
    it.status = subscription_pb2.Subscription.STATUS_ACTIVE
    it.credential = CREDENTIAL
    made.subscription.signing_secrets.add(secret=secret)
    return made


def credential(revision: int = 1) -> FeedChange:
    """
    Make a change of a credential.
    """
    made = FeedChange(revision=revision)
    made.credential.name = CREDENTIAL
    made.credential.bearer.token = "token"
    return made


def signing_key(revision: int = 1, secret: str = GOOD_SECRET) -> FeedChange:
    """
    Make a change of a signing key.
    """
    made = FeedChange(revision=revision)
    made.signing_key.signing_key.name = SIGNING_KEY
    made.signing_key.signing_secrets.add(secret=secret)
    return made


def caller() -> FeedChange:
    """
    Make a change of a caller.
    """
    made = FeedChange(revision=1)
    made.caller.caller.name = CALLER
    return made


def deleted(name: str = SHIPPED, revision: int = 2) -> FeedChange:
    """
    Make a deletion.
    """
    return FeedChange(revision=revision, deleted_name=name)

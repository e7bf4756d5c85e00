"""
The resources of the config service, as this process holds them in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dispatch_service.domain.authentication import (
    BodyHmac,
    ClientCredentials,
    ClientIdentity,
    CompiledCredential,
    FixedHeader,
    compile_credential,
    compile_identity,
)
from dispatch_service.domain.work import EndpointKey
from dispatch_service.feed.config_clock import instant
from dispatch_service.feed.snapshot import change_name
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.owner_settings import OwnerSettings, compile_settings
from dispatch_service.routing.subscriptions import (
    SharedKeys,
    Subscription,
    compile_signing_key,
    compile_subscription,
)
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from service_runtime.rpc.caller_directory import CallerDirectory, CallerEntry, read_caller
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

Compiled = (
    Subscription | OwnerSettings | CompiledCredential | ClientIdentity | SharedKeys | CallerEntry
)


class UnknownKindError(Exception):
    """
    The feed has a change of a kind that this version does not know.
    """


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

    def matches_since(self, name: str, since: datetime) -> None:
        """
        Events that were accepted from *since* on, by the own database, are to be matched with a
        subscription that was not known until now.
        """

    def returned(self, name: str, since: datetime | None) -> None:
        """
        A subscription is no longer held. What it missed is in the database; if it is not, events
        are to be matched from *since* on, by the own database.
        """


@dataclass(frozen=True, slots=True)
class FeedItem:
    """
    A change of the feed, compiled: None for a deletion, and for what cannot be used.
    """

    name: str
    change: feed_service_pb2.FeedChange
    compiled: Compiled | None

    @property
    def unusable(self) -> bool:
        """
        Whether this is a subscription that cannot be used.
        """
        return self.compiled is None and self.change.WhichOneof("change") == "subscription"


class ResourceCache:
    """
    Keeps subscriptions, settings, credentials, certificates, signing keys and callers as the feed
    names them.

    *failures* logs the items that cannot be used: none of them stops the others.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        callers: CallerDirectory,
        ring: KeyRing,
        rules: UrlRules,
        failures: FailureLog,
    ) -> None:
        self.subscriptions = subscriptions
        self._callers = callers
        self._ring = ring
        self._rules = rules
        self._failures = failures

    def read(self, change: feed_service_pb2.FeedChange) -> FeedItem | None:
        """
        Compile a change. One that cannot be used is logged; None for a kind that this version
        does not know, which is passed over.
        """
        if change.WhichOneof("change") is None:
            with self._failures.isolated(revision=change.revision):
                raise UnknownKindError("a kind of resource that this version does not know")
            return None
        name = change_name(change)
        with self._failures.isolated(name=name, revision=change.revision):
            return FeedItem(name, change, self._compile(change))
        return FeedItem(name, change, None)

    def put(self, item: FeedItem) -> EndpointKey | None:
        """
        Apply a change; return the endpoint of a subscription that is Active again by it.

        A subscription that cannot be used is held. A credential, certificate, signing key
        or caller that cannot be used is not known any more; settings stay as they were.
        """
        match item.compiled:
            case Subscription() as subscription:
                return self._put_subscription(subscription)
            case OwnerSettings() as settings:
                self.subscriptions.put_settings(names.owner_of(item.name), settings)
            case FixedHeader() | BodyHmac() | ClientCredentials() as credential:
                self.subscriptions.credentials[item.name] = credential
            case ClientIdentity() as identity:
                self.subscriptions.identities[item.name] = identity
            case SharedKeys() as keys:
                self.subscriptions.signing_keys[item.name] = keys
            case CallerEntry() as caller:
                self._callers.put(caller)
            case None if item.change.WhichOneof("change") == "owner_settings":
                pass
            case _:
                self.forget(item.name)
                if item.unusable:
                    self.subscriptions.hold(item.name, item.change.revision)
        return None

    def _compile(self, change: feed_service_pb2.FeedChange) -> Compiled | None:
        match change.WhichOneof("change"):
            case "subscription":
                since = instant(change.matches_since) if change.HasField("matches_since") else None
                return compile_subscription(change.subscription, self._rules, self._hashed, since)
            case "owner_settings":
                return compile_settings(change.owner_settings)
            case "credential":
                return compile_credential(change.credential, self._rules)
            case "client_certificate":
                return compile_identity(change.client_certificate)
            case "signing_key":
                return compile_signing_key(change.signing_key)
            case "caller":
                return read_caller(change.caller)
            case _:
                return None

    def names(self) -> set[str]:
        """
        Return the names of all resources in memory.
        """
        return self.subscriptions.names() | self._callers.names()

    def hold(self, subscriptions: Iterable[str]) -> None:
        """
        Hold subscriptions in the revisions that are known.
        """
        for name in subscriptions:
            known = self.subscriptions.by_name.get(name)
            revision = self.subscriptions.held.get(name, 0) if known is None else known.revision
            self.subscriptions.hold(name, revision)

    def forget(self, name: str) -> None:
        """
        Remove a resource, if it is there.
        """
        self.subscriptions.remove(name)
        self._callers.remove(name)

    def endpoint_of(self, url: str) -> str:
        """
        Return the endpoint of a URL, empty for one that cannot be used.
        """
        try:
            return parse_url(url, self._rules).endpoint
        except UrlRefusedError:
            return ""

    def _put_subscription(self, subscription: Subscription) -> EndpointKey | None:
        before = self.subscriptions.by_name.get(subscription.name)
        self.subscriptions.put(subscription)
        if before is not None and subscription.active and not before.active:
            return (subscription.owner, subscription.endpoint)
        return None

    def _hashed(self, url: str) -> bytes:
        return self._ring.keyed_hash("url", url)

"""
The resources of the config service, as this process holds them in memory.
"""

from __future__ import annotations

import structlog

from dispatch_service.domain.authentication import compile_credential, compile_identity
from dispatch_service.domain.work import EndpointKey
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.owner_settings import compile_settings
from dispatch_service.routing.subscriptions import Subscription, compile_subscription
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.caller_directory import CallerDirectory, read_caller
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.config.v1 import credential_pb2, feed_service_pb2

log = structlog.get_logger()


class ResourceCache:
    """
    Keeps subscriptions, settings, credentials, certificates and callers as the feed names them.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        callers: CallerDirectory,
        ring: KeyRing,
        rules: UrlRules,
    ) -> None:
        self.subscriptions = subscriptions
        self._callers = callers
        self._ring = ring
        self._rules = rules

    def apply(self, change: feed_service_pb2.FeedChange) -> EndpointKey | None:
        """
        Apply a change; return the endpoint of a subscription that is Active again by it.

        A change of a kind that this version does not know is ignored.
        """
        match change.WhichOneof("change"):
            case "subscription":
                return self._put_subscription(
                    compile_subscription(change.subscription, self._rules, self._hashed)
                )
            case "account_settings":
                owner = names.owner_of(change.account_settings.name)
                self.subscriptions.put_settings(owner, compile_settings(change.account_settings))
            case "credential":
                self._put_credential(change.credential)
            case "client_certificate":
                identity = compile_identity(change.client_certificate)
                self.subscriptions.identities[change.client_certificate.name] = identity
            case "caller":
                self._callers.put(read_caller(change.caller))
            case "deleted_name":
                self.forget(change.deleted_name)
        return None

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

    def _put_credential(self, credential: credential_pb2.Credential) -> None:
        try:
            compiled = compile_credential(credential, self._rules)
        except (ValueError, UrlRefusedError):
            # Its deliveries fail, and the attempts say that the credential is not known.
            self.subscriptions.credentials.pop(credential.name, None)
            log.warning("feed.credential_unusable", name=credential.name)
        else:
            self.subscriptions.credentials[credential.name] = compiled

    def _hashed(self, url: str) -> bytes:
        return self._ring.keyed_hash("url", url)

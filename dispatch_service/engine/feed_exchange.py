"""
The exchange with the config service, put together: the feed that is read, and the reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import grpc

from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.work import EndpointKey
from dispatch_service.feed.applier import FeedApplier
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.feed.cache import ResourceCache
from dispatch_service.feed.client import FeedClient
from dispatch_service.feed.reporter import Reporter
from dispatch_service.health.health_log import HealthLog
from dispatch_service.intake.late_subscriptions import PendingSubscriptions
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.parts import Parts, Signals
from service_runtime.process.failures import FailureLog
from service_runtime.tls.channels import RenewableChannel
from service_runtime.tls.current import CurrentTls
from shipedge.webhooks.client import channel


@dataclass(frozen=True, slots=True)
class Feed:
    """
    The exchange with the config service.
    """

    channel: RenewableChannel
    applier: FeedApplier
    client: FeedClient
    reporter: Reporter
    updater: BacklogUpdater
    newly_known: PendingSubscriptions


@dataclass(frozen=True, slots=True)
class _FeedListener:
    endpoints: Endpoints
    signals: Signals
    newly_known: PendingSubscriptions

    def resumed(self, endpoint: EndpointKey) -> None:
        self.endpoints.slow_start(endpoint)

    def changes_stored(self) -> None:
        self.signals.updates_recorded.set()

    def matches_since(self, name: str, since: datetime) -> None:
        self.newly_known.add(name, since)

    def returned(self, name: str, since: datetime | None) -> None:
        self.newly_known.returned(name, since)


def build_feed(
    parts: Parts, health_log: HealthLog, endpoints: Endpoints, skipped: SkippedCounts
) -> Feed:
    """
    Put together what exchanges with the config service.
    """
    settings, signals, replica = parts.settings, parts.signals, parts.lease.owner
    config = RenewableChannel(lambda: _connected(settings.config_address, parts.tls))
    parts.stack.push_async_callback(config.close)
    failures = FailureLog("feed.item_set_aside")
    rules = settings.url_rules()
    cache = ResourceCache(parts.subscriptions, parts.callers, parts.ring, rules, failures)
    newly_known = PendingSubscriptions(signals.newly_known.set)
    listener = _FeedListener(endpoints, signals, newly_known)
    store = parts.bulk_store
    applier = FeedApplier(store, parts.ring, cache, listener, failures, hold=settings.missing_hold)
    client = FeedClient(config, applier, replica=replica, use_link_key=parts.callers.use_link_key)
    reporter = Reporter(store, config, health_log.load, skipped.write_down, replica=replica)
    updater = BacklogUpdater(store, parts.lease.duration, signals.deliveries_due.set)
    return Feed(config, applier, client, reporter, updater, newly_known)


def _connected(address: str, tls: CurrentTls | None) -> grpc.aio.Channel:
    return channel.connect(address, None if tls is None else tls.channel_credentials())

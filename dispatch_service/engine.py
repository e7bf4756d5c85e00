"""
The delivery engine, put together: everything between an accepted event and the
attempt that delivers it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import grpc
import structlog

from dispatch_service.delivery.attempt import Worker
from dispatch_service.delivery.claim import Claimer
from dispatch_service.delivery.endpoint_queues import Bounds, EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.recorder import Recorder
from dispatch_service.delivery.replicas import Limits, Replicas
from dispatch_service.delivery.results import Settler
from dispatch_service.delivery.send import Courier
from dispatch_service.domain.work import Lease
from dispatch_service.egress.connector import Connector
from dispatch_service.egress.oauth_tokens import OAuthTokens
from dispatch_service.egress.opening import Opener
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.proxy import EgressProxy
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.resolver import Resolver
from dispatch_service.egress.sender import Sender
from dispatch_service.egress.tls import TlsContexts
from dispatch_service.egress.transport import GuardedTransport
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.feed.client import FeedClient
from dispatch_service.feed.reporter import Reporter
from dispatch_service.health.health_log import HealthLog
from dispatch_service.intake.accept import Intake
from dispatch_service.intake.admission import Admission
from dispatch_service.intake.commit import GroupCommitter
from dispatch_service.intake.late_match import Matcher
from dispatch_service.intake.pressure import Backlog
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.protocol import Queue
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.settings import Settings
from dispatch_service.storage.sealing import DayKeys
from dispatch_service.upkeep.schedule import Maintenance
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc.caller_directory import CallerDirectory
from shipedge.webhooks.client import channel

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """
    What the engine shares with the services around it.
    """

    store: AsyncEngine
    ring: KeyRing
    keys: DayKeys
    subscriptions: SubscriptionIndex
    callers: CallerDirectory
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Engine:
    """
    The parts of a running dispatch service that have to be started and stopped.
    """

    queue: Queue
    endpoint_queues: EndpointQueues
    endpoints: Endpoints
    replicas: Replicas
    settler: Settler
    backlog: Backlog
    health_log: HealthLog
    reporter: Reporter
    maintenance: Maintenance
    wish_runner: BacklogUpdater
    committer: GroupCommitter
    claimer: Claimer
    feed: FeedClient
    matcher: Matcher
    intake: Intake


async def build_engine(settings: Settings, parts: Parts, stack: AsyncExitStack) -> Engine:
    """
    Put the engine together; *stack* closes what has to be closed.
    """
    store, keys, subscriptions = parts.store, parts.keys, parts.subscriptions
    lease = Lease(settings.replica_name(), settings.lease)
    queue: Queue = SqliteQueue(store) if store.dialect.name == "sqlite" else PostgresQueue(store)
    stack.push_async_callback(queue.close)
    health_log = HealthLog(queue, subscriptions, keys, lease, report_after=settings.failing_after)
    recorder = Recorder(subscriptions, keys)
    settler = Settler(queue, recorder, health_log.on_settled, health_log.has_effects)
    endpoints = Endpoints(settings.endpoint_concurrency)
    replicas = Replicas(store, endpoints, lease.owner)
    worker = _worker(settings, parts, settler, endpoints, _transport(settings, stack))
    endpoint_queues = EndpointQueues(
        worker.deliver,
        settler.release,
        endpoints,
        Bounds(settings.total_concurrency, settings.most_waiting),
        Limits(subscriptions, replicas).of,
    )
    backlog = Backlog(store, settings.tolerance())
    skipped_counts = SkippedCounts()
    admission = Admission(subscriptions, keys, endpoint_queues)
    committer = GroupCommitter(
        queue,
        endpoint_queues,
        lease,
        backlog,
        skipped_counts,
        admission,
        most_waiting=settings.most_waiting,
    )
    intake = Intake(store, keys, admission, committer)
    config = channel.connect(settings.config_address, _client_credentials(settings))
    stack.push_async_callback(config.close)
    poll_seconds = settings.poll_interval.total_seconds()
    claimer = Claimer(queue, endpoint_queues, endpoints, keys, lease, poll_seconds=poll_seconds)
    settler.unblocked = claimer.claim_soon
    wish_runner = BacklogUpdater(
        store, lease.duration, poll_seconds=poll_seconds, moved=claimer.claim_soon
    )
    return Engine(
        queue=queue,
        endpoint_queues=endpoint_queues,
        endpoints=endpoints,
        replicas=replicas,
        settler=settler,
        backlog=backlog,
        health_log=health_log,
        reporter=Reporter(
            store,
            config,
            health_log.load,
            skipped_counts.write_down,
            dispatcher=lease.owner,
        ),
        maintenance=Maintenance(
            store,
            subscriptions,
            settings.retention(),
            interval_seconds=settings.maintenance_interval.total_seconds(),
        ),
        wish_runner=wish_runner,
        committer=committer,
        claimer=claimer,
        feed=FeedClient(
            store,
            parts.ring,
            config,
            subscriptions,
            parts.callers,
            rules=settings.url_rules(),
            dispatcher=lease.owner,
            resumed=endpoints.slow_start,
            wished=wish_runner.look_soon,
        ),
        matcher=Matcher(store, queue, keys, subscriptions, lease),
        intake=intake,
    )


def _worker(
    settings: Settings,
    parts: Parts,
    settler: Settler,
    endpoints: Endpoints,
    transport: GuardedTransport,
) -> Worker:
    deadline = settings.deadline.total_seconds()
    sender = Sender(transport, clock=parts.clock, report=_report)
    tokens = OAuthTokens(transport)
    courier = Courier(parts.subscriptions, sender, tokens, deadline=deadline)
    return Worker(
        parts.subscriptions,
        courier,
        settler,
        endpoints,
        clock=parts.clock,
        deadline=deadline,
    )


def _transport(settings: Settings, stack: AsyncExitStack) -> GuardedTransport:
    authorities = settings.receiver_ca_file.read_text() if settings.receiver_ca_file else None
    contexts = TlsContexts(authorities)
    opener: Opener = Connector(Resolver(), contexts, settings.allow_list())
    if settings.egress_proxy:
        opener = EgressProxy(settings.egress_proxy, contexts)
    # One that is closed after a burst costs a handshake at the next: as much as fifty requests.
    pool = ConnectionPool(
        max_idle=settings.total_concurrency, max_idle_per_key=settings.endpoint_concurrency
    )
    transport = GuardedTransport(opener, pool, rules=settings.url_rules())
    stack.push_async_callback(transport.aclose)
    return transport


def _report(request: OutboundRequest, error: Exception) -> None:
    """
    Tell operators of a blocked destination and of faults of ours.
    """
    if isinstance(error, ExchangeFailedError):
        log.warning(
            "delivery.blocked" if error.kind == "blocked_address" else "delivery.fault",
            owner=request.owner,
            endpoint=request.url.endpoint,
            detail=error.detail,
        )
    else:
        log.error("delivery.fault", owner=request.owner, exc_info=error)


def _client_credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    files = settings.tls_files()
    return None if files is None else channel.channel_credentials(*files)

"""
What the rooms of the dispatch service share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dispatch_service.domain.work import Lease
from dispatch_service.egress.connector import Connector
from dispatch_service.egress.opening import Opener
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.proxy import EgressProxy
from dispatch_service.egress.resolver import Resolver
from dispatch_service.egress.tls.contexts import TlsContexts
from dispatch_service.egress.transport import GuardedTransport
from dispatch_service.log.audit import audit_log
from dispatch_service.log.url_filters import Hash, url_hash
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.protocol import Queue
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.resend.job_runner import JobRunner, JobWork
from dispatch_service.resend.replay_events import ReplayReader
from dispatch_service.resend.replay_work import Refusals, ReplayWork
from dispatch_service.resend.resend_work import ResendWork
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.settings import Settings
from dispatch_service.storage.sealing import DayKeys
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import create_engine
from service_runtime.database.sessions import LONG_STATEMENT_SECONDS
from service_runtime.keys.keyring import KeyRing
from service_runtime.observability.metrics import show_keys
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import Identify, development_caller
from service_runtime.tls.current import CurrentTls

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Signals:
    """
    What wakes a background loop before its pause is over.

    Each is set by all who make work for the loop, and cleared by the loop.
    """

    deliveries_due: asyncio.Event = field(default_factory=asyncio.Event)
    updates_recorded: asyncio.Event = field(default_factory=asyncio.Event)
    newly_known: asyncio.Event = field(default_factory=asyncio.Event)
    jobs_created: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Parts:
    """
    What the parts of the engine and the services around it share; *stack* closes it.

    Statements that may concern many rows use *bulk_store*: they may take longer, and what
    publishing and delivering need of *store* is left to these.
    """

    settings: Settings
    stack: AsyncExitStack
    store: AsyncEngine
    bulk_store: AsyncEngine
    queue: Queue
    ring: KeyRing
    keys: DayKeys
    audit: AuditLog
    hashed: Hash
    subscriptions: SubscriptionIndex
    callers: CallerDirectory
    identify: Identify
    tls: CurrentTls | None
    lease: Lease
    signals: Signals
    clock: Callable[[], datetime]


def open_parts(settings: Settings, stack: AsyncExitStack, clock: Callable[[], datetime]) -> Parts:
    """
    Open the database and make what is shared; *stack* closes what has to be closed.
    """
    store = create_engine(settings.database(), application_name="dispatch_service")
    stack.push_async_callback(store.dispose)
    queue: Queue = SqliteQueue(store) if store.dialect.name == "sqlite" else PostgresQueue(store)
    stack.push_async_callback(queue.close)
    ring = settings.key_ring()
    show_keys(ring.first, ring.key_ids[1:])
    tls, callers = settings.tls("server", "client"), settings.callers()
    identify = development_caller if callers is None else callers.identify
    return Parts(
        settings,
        stack,
        store,
        _bulk_store(settings, store, stack),
        queue,
        ring,
        keys=DayKeys(store, ring, clock),
        audit=audit_log(ring),
        hashed=url_hash(ring),
        subscriptions=SubscriptionIndex(),
        callers=CallerDirectory() if callers is None else callers,
        identify=identify if tls is None else tls.unless_revoked(identify),
        tls=tls,
        lease=Lease(settings.replica_name(), settings.lease),
        signals=Signals(),
        clock=clock,
    )


def _bulk_store(settings: Settings, store: AsyncEngine, stack: AsyncExitStack) -> AsyncEngine:
    if store.dialect.name == "sqlite":
        # Its engine has the lock of writers.
        return store
    made = create_engine(
        settings.database(),
        application_name="dispatch_service bulk",
        statement_seconds=LONG_STATEMENT_SECONDS,
        pool="bulk",
    )
    stack.push_async_callback(made.dispose)
    return made


def guarded_transport(settings: Settings, stack: AsyncExitStack) -> GuardedTransport:
    """
    Make the transport of all requests that leave; *stack* closes it.
    """
    authorities = settings.receiver_ca_file.read_text() if settings.receiver_ca_file else None
    contexts = TlsContexts(authorities)
    opener: Opener = Connector(Resolver(), contexts, settings.allow_list())
    if settings.egress_proxy:
        opener = EgressProxy(settings.egress_proxy, contexts)
    # One that is closed after a burst costs a handshake at the next: as much as fifty requests.
    most = max(settings.endpoint_concurrency, settings.most_endpoint_concurrency)
    pool = ConnectionPool(max_idle=settings.total_concurrency, max_idle_per_key=most)
    transport = GuardedTransport(opener, pool, rules=settings.url_rules())
    stack.push_async_callback(transport.aclose)
    return transport


def build_jobs(parts: Parts, refusals: Refusals) -> JobRunner:
    """
    Put the runner of all jobs together. Replays wait while *refusals* refuses their events.
    """
    store, subscriptions = parts.bulk_store, parts.subscriptions
    replays = ReplayWork(
        ReplayReader(store, parts.keys, subscriptions),
        parts.queue,
        parts.keys,
        subscriptions,
        parts.lease,
        refusals,
    )
    works: list[JobWork] = [ResendWork(subscriptions, parts.hashed), replays]
    return JobRunner(store, works, parts.signals.deliveries_due.set)

"""
The wiring of the dispatch service: the only module that knows all others.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import grpc
import structlog

from dispatch_service.api.admin import AdminServicer
from dispatch_service.api.batches import PUBLISHING
from dispatch_service.api.deliveries import DeliveryServicer
from dispatch_service.api.payloads import PayloadServicer
from dispatch_service.api.publisher import PublisherServicer
from dispatch_service.background import serve
from dispatch_service.egress.proxy import EgressProxy
from dispatch_service.egress.proxy_check import check_proxy
from dispatch_service.egress.tls.contexts import TlsContexts
from dispatch_service.engine.build import Engine, build_engine
from dispatch_service.intake.samples import Samples
from dispatch_service.log.audit import audit_log
from dispatch_service.log.url_filters import url_hash
from dispatch_service.parts import Parts, open_parts
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.resend import earlier_jobs
from dispatch_service.settings import Settings
from dispatch_service.storage import urls
from dispatch_service.storage.sealed_columns import SEALED_COLUMNS
from service_runtime.database.engine import (
    create_engine,
    reading,
    sqlite_file,
    writing,
)
from service_runtime.database.migrations import migrate_at_start
from service_runtime.database.usable import usable
from service_runtime.keys.rotation import check_key_file, check_keys
from service_runtime.observability import dispatch_metrics as metrics
from service_runtime.observability.tracing import traced
from service_runtime.process import failpoints
from service_runtime.process.lifecycle import only_process, tune_garbage_collector
from service_runtime.process.operators import operators_listeners
from service_runtime.process.serving import listening_server
from service_runtime.process.worker_reports import ControlChannel
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.paging import PageTokens
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2_grpc,
    dispatch_admin_service_pb2_grpc,
    payload_service_pb2_grpc,
    publisher_service_pb2_grpc,
)

SERVICES = (
    "shipedge.webhooks.dispatch.v1.PublisherService",
    "shipedge.webhooks.dispatch.v1.DeliveryService",
    "shipedge.webhooks.dispatch.v1.PayloadService",
    "shipedge.webhooks.dispatch.v1.DispatchAdminService",
)

log = structlog.get_logger()


utc_now = partial(datetime.now, UTC)  # noqa: TID251 - the one place where the clock is read
"""
Reads the wall clock. Nothing else does.
"""


async def prepare(settings: Settings) -> None:
    """
    Check the egress proxy, and bring the database up to date.

    Raises `ProxyUnsafeError`, and `KeysMissingError` where the keys do not open the database.
    """
    if settings.production and settings.egress_proxy:
        await check_proxy(EgressProxy(settings.egress_proxy, TlsContexts(None)))
    await migrate_at_start(settings.database(), "dispatch_service")
    store = create_engine(
        settings.database(), application_name="dispatch_service", statement_seconds=None
    )
    try:
        async with reading(store) as db:
            await check_key_file(db, settings.missing_key_file(), SEALED_COLUMNS)
            await check_keys(db, settings.key_ring(), SEALED_COLUMNS)
        audit = audit_log(settings.key_ring())
        await audit.begin(store)
        async with writing(store) as db:
            await earlier_jobs.convert(db, url_hash(settings.key_ring()), audit)
    finally:
        await store.dispose()


async def run(settings: Settings, control: ControlChannel | None = None) -> None:
    """
    Serve until SIGTERM or SIGINT, then finish the calls in flight.

    A worker, which has a *control* channel, leaves to its supervisor what is done once: the
    preparation of the database and the listeners of operators.
    """
    failpoints.arm(settings.failpoint)
    tune_garbage_collector()
    async with AsyncExitStack() as stack:
        stack.enter_context(traced("dispatch", exported=settings.traces == "otlp"))
        stack.enter_context(only_process(sqlite_file(settings.database()), "dispatch service"))
        if control is None:
            await prepare(settings)
        parts = open_parts(settings, stack, utc_now)
        engine = build_engine(parts)
        with usable(settings.database()):
            await _load(parts, engine)
        health = ServerHealth(SERVICES, engine.readiness().check)
        grpc_server = listening_server(
            "dispatch",
            settings,
            SERVICES,
            identify=parts.identify,
            tls=parts.tls,
            health=health,
            publishing=PUBLISHING,
            reuse_port=control is not None,
        )
        _add_services(grpc_server, parts, engine)
        _offer_gauges(engine)
        if control is None:
            listeners = (settings.operators_listen, settings.metrics_listen)
            await stack.enter_async_context(operators_listeners(*listeners, health, SERVICES))
        await serve(parts, engine, grpc_server, health, control)


async def _load(parts: Parts, engine: Engine) -> None:
    """
    Read what the database knows before the first call is taken.
    """
    if isinstance(parts.queue, SqliteQueue):
        await parts.queue.end_leases()
    await engine.feed.applier.load()
    known = parts.subscriptions.by_name.values()
    recorded = {(it.owner, it.url_hash): it.url.text for it in known if it.url is not None}
    await urls.complete(parts.bulk_store, parts.ring, recorded)
    await engine.health_log.load(parts.bulk_store)
    await engine.late.begin()
    await engine.delivery.replicas.sync()
    # Only now the others know that this process is alive.
    await engine.delivery.suspects.start()


def _add_services(grpc_server: grpc.aio.Server, parts: Parts, engine: Engine) -> None:
    store, keys, subscriptions = parts.bulk_store, parts.keys, parts.subscriptions
    tokens = PageTokens(parts.ring.keyed_hash("page tokens", "dispatch"))
    publisher_service_pb2_grpc.add_PublisherServiceServicer_to_server(
        PublisherServicer(engine.acceptance.acceptor), grpc_server
    )
    deliveries = DeliveryServicer(
        store,
        keys,
        tokens,
        subscriptions,
        audit=parts.audit,
        hashed=parts.hashed,
        became_due=parts.signals.deliveries_due.set,
        job_created=parts.signals.jobs_created.set,
        clock=parts.clock,
    )
    delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(deliveries, grpc_server)
    samples = Samples(store, subscriptions, engine.acceptance.acceptor, parts.audit, parts.clock)
    payload_service_pb2_grpc.add_PayloadServiceServicer_to_server(
        PayloadServicer(store, keys, tokens, subscriptions, samples), grpc_server
    )
    dispatch_admin_service_pb2_grpc.add_DispatchAdminServiceServicer_to_server(
        AdminServicer(store, parts.ring, keys.hashed, tokens, parts.audit), grpc_server
    )


def _offer_gauges(engine: Engine) -> None:
    delivery, backlog = engine.delivery, engine.acceptance.backlog
    metrics.EVENTS_WAITING.read_with(lambda: len(engine.acceptance.waiting))
    metrics.IN_MEMORY.read_with(delivery.endpoint_queues.in_memory)
    metrics.RESULTS_WAITING.read_with(lambda: delivery.results.unwritten)
    metrics.OWNERS_WITH_SHARE.read_with(delivery.endpoint_queues.usage.owners_with_share)
    metrics.UNFINISHED.read_with(lambda: backlog.counts.total)
    metrics.OLDEST_DUE_SECONDS.read_with(lambda: backlog.late_seconds)
    metrics.QUEUE.read_with(lambda: engine.maintenance.queue_states.by_state)
    metrics.OWNERS_WITH_FULL_LOG.read_with(delivery.log_usage.full_count)
    metrics.SUBSCRIPTIONS_HELD.read_with(engine.feed.applier.held_count)
    metrics.ENDPOINTS_DEGRADED.read_with(delivery.endpoints.degraded)

"""
The wiring of the dispatch service: the only module that knows all others.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import grpc
import structlog

from dispatch_service.api.admin import AdminServicer
from dispatch_service.api.deliveries import DeliveryServicer
from dispatch_service.api.payloads import PayloadServicer
from dispatch_service.api.publisher import PublisherServicer
from dispatch_service.engine import Engine, Parts, build_engine
from dispatch_service.intake.samples import Samples
from dispatch_service.log.filters import url_hash
from dispatch_service.queue import leases
from dispatch_service.resend.runner import ResendRunner
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.settings import Settings
from dispatch_service.storage.sealed_columns import SEALED_COLUMNS
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import (
    check_alive,
    create_engine,
    is_unavailable,
    reading,
    sqlite_file,
)
from service_runtime.database.migrations import migrate
from service_runtime.keys.rotation import check_keys
from service_runtime.observability import metrics
from service_runtime.process import failpoints
from service_runtime.process.lifecycle import (
    first_ended,
    only_process,
    spare_the_collector,
    stop_signal,
)
from service_runtime.process.operators import operators_listeners
from service_runtime.process.worker_reports import ControlChannel
from service_runtime.rpc import server
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import Identify, development_caller
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.rpc.paging import PageTokens
from shipedge.webhooks.dispatch.v1 import (
    admin_service_pb2_grpc,
    delivery_service_pb2_grpc,
    payload_service_pb2_grpc,
    publisher_service_pb2_grpc,
)

SERVICES = (
    "shipedge.webhooks.dispatch.v1.PublisherService",
    "shipedge.webhooks.dispatch.v1.DeliveryService",
    "shipedge.webhooks.dispatch.v1.PayloadService",
    "shipedge.webhooks.dispatch.v1.AdminService",
)

LAST_WORDS_SECONDS = 5.0
"""
How long a service that stops tries to write its last results, and then that it is gone.
"""

log = structlog.get_logger()


def utc_now() -> datetime:
    """
    Read the wall clock.
    """
    return datetime.now(UTC)  # noqa: TID251 - the one place where the clock is read


async def prepare(settings: Settings) -> None:
    """
    Bring the database up to date. Raises `KeysMissingError` where the keys do not open it.
    """
    await migrate(settings.database(), "dispatch_service")
    store = create_engine(settings.database(), application_name="dispatch_service")
    try:
        async with reading(store) as db:
            await check_keys(db, settings.key_ring(), SEALED_COLUMNS)
    finally:
        await store.dispose()


async def run(settings: Settings, control: ControlChannel | None = None) -> None:
    """
    Serve until SIGTERM or SIGINT, then finish what was begun.

    At the *control* of a worker it serves beside others, on the same port, until its
    supervisor is gone too; what has to be done once that one does.
    """
    failpoints.arm(settings.failpoint)
    spare_the_collector()
    async with AsyncExitStack() as stack:
        stack.enter_context(only_process(sqlite_file(settings.database()), "dispatch service"))
        if control is None:
            await prepare(settings)
        store = create_engine(settings.database(), application_name="dispatch_service")
        stack.push_async_callback(store.dispose)
        ring = settings.key_ring()
        keys = DayKeys(store, ring, utc_now)
        subscriptions = SubscriptionIndex()
        callers = settings.callers()
        directory = CallerDirectory() if callers is None else callers
        engine = await build_engine(
            settings,
            Parts(store, ring, keys, subscriptions, directory, utc_now),
            stack,
        )
        if sqlite_file(settings.database()) is not None:
            await leases.end_all(store)
        await engine.feed.load()
        await engine.health_log.load(store)
        await engine.matcher.drain()
        await engine.replicas.sync()
        hashed = url_hash(ring)
        tokens = PageTokens(ring.keyed_hash("page tokens", "dispatch"))
        runner = ResendRunner(store, subscriptions, hashed, engine.claimer.claim_soon)
        delivery_servicer = DeliveryServicer(
            store,
            keys,
            tokens,
            subscriptions,
            hashed=hashed,
            claim_soon=engine.claimer.claim_soon,
            run_soon=runner.run_soon,
        )
        samples = Samples(store, subscriptions, engine.intake, utc_now)
        payload_servicer = PayloadServicer(store, keys, tokens, subscriptions, samples)
        health = ServerHealth(SERVICES, lambda: check_alive(store))
        identify = development_caller if callers is None else callers.identify
        grpc_server = _server(settings, health, identify, reuse_port=control is not None)
        _offer_gauges(engine)
        if control is None:
            await stack.enter_async_context(
                operators_listeners(
                    settings.operators_listen, settings.metrics_listen, health, SERVICES
                )
            )
        publisher_service_pb2_grpc.add_PublisherServiceServicer_to_server(
            PublisherServicer(engine.intake), grpc_server
        )
        delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(
            delivery_servicer, grpc_server
        )
        payload_service_pb2_grpc.add_PayloadServiceServicer_to_server(payload_servicer, grpc_server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminServicer(store, ring, keys.hashed, tokens),
            grpc_server,
        )
        await _serve(settings, engine, grpc_server, health, runner, control)


def _offer_gauges(engine: Engine) -> None:
    metrics.gauge(
        "webhooks_events_waiting", "Events that wait for their commit.", engine.committer.waiting
    )
    metrics.gauge(
        "webhooks_deliveries_in_memory",
        "Deliveries that wait in memory or are being attempted.",
        engine.endpoint_queues.held,
    )
    metrics.gauge(
        "webhooks_deliveries_unfinished",
        "Deliveries that have not ended, as of the last count.",
        lambda: engine.backlog.unfinished,
        how="max",
    )
    metrics.gauge(
        "webhooks_oldest_due_seconds",
        "How long the delivery that waits longest has been due, as of the last count.",
        lambda: engine.backlog.late_seconds,
        how="max",
    )
    metrics.gauge(
        "webhooks_endpoints_degraded",
        "Endpoints that get fewer requests, or none, because they are in trouble.",
        engine.endpoints.degraded,
        how="max",
    )


def _server(
    settings: Settings, health: ServerHealth, identify: Identify, *, reuse_port: bool
) -> grpc.aio.Server:
    """
    Make the server with what does not depend on the engine.
    """
    files = settings.tls_files()
    grpc_server, port = server.build(
        settings.listen,
        interceptors=[
            CallInterceptor(identify, measure=metrics.measure_call, store_is_away=is_unavailable)
        ],
        credentials=None if files is None else server.server_credentials(*files),
        reuse_port=reuse_port,
    )
    health.add_to(grpc_server)
    if not settings.production:
        server.enable_reflection(grpc_server, SERVICES)
    log.info("service.listening", service="dispatch", listen=settings.listen, port=port)
    return grpc_server


async def _serve(
    settings: Settings,
    engine: Engine,
    grpc_server: grpc.aio.Server,
    health: ServerHealth,
    runner: ResendRunner,
    control: ControlChannel | None,
) -> None:
    """
    Run everything until a signal, then stop in the order in which work flows.
    """
    stopped = [stop_signal()]
    if control is not None:
        stopped.append(asyncio.create_task(control.answer(lambda: health.serving)))
    flowing = [
        asyncio.create_task(engine.committer.run()),
        asyncio.create_task(engine.settler.run()),
    ]
    serving = [
        asyncio.create_task(engine.feed.run()),
        asyncio.create_task(engine.matcher.run()),
        asyncio.create_task(engine.claimer.run()),
        asyncio.create_task(engine.replicas.run()),
        asyncio.create_task(engine.backlog.run()),
        asyncio.create_task(engine.reporter.run()),
        asyncio.create_task(engine.maintenance.run()),
        asyncio.create_task(engine.wish_runner.run()),
        asyncio.create_task(runner.run()),
        asyncio.create_task(health.run()),
    ]
    spare_the_collector()
    await grpc_server.start()
    await first_ended(*stopped, *flowing, *serving)
    await health.drain()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    grace = settings.grace.total_seconds()
    await asyncio.gather(server.stop(grpc_server, grace), engine.endpoint_queues.drain(grace))
    engine.committer.stop()
    await asyncio.wait([flowing[0]], timeout=LAST_WORDS_SECONDS)
    # What was accepted in the last moments may have found a place before there was none.
    engine.endpoint_queues.stop()
    engine.settler.stop(LAST_WORDS_SECONDS)
    await asyncio.wait([flowing[1]], timeout=2 * LAST_WORDS_SECONDS)
    await _leave(engine)
    log.info("service.stopped", service="dispatch")


async def _leave(engine: Engine) -> None:
    """
    Write what can be written; what a store that is away does not take is not worth waiting for.
    """
    try:
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await engine.reporter.flush()
            await engine.replicas.leave()
    except Exception as error:  # noqa: BLE001 - the service ends, whatever the store says
        log.warning("service.left_in_silence", error_type=type(error).__name__)

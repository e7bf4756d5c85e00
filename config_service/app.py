"""
The wiring of the config service: the only module that knows all others.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import grpc
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.api.admin import AdminServicer
from config_service.api.config import ConfigServicer
from config_service.api.feed import ChangeNotifier, FeedServicer, wait
from config_service.api.subscriptions import Store
from config_service.settings import Settings
from config_service.store import caller_store, endpoint_feed, feed
from config_service.store.sealed_columns import SEALED_COLUMNS
from config_service.store.subscription_store import Sealing
from service_runtime.database.engine import (
    check_alive,
    create_engine,
    is_unavailable,
    reading,
    sqlite_file,
    writing,
)
from service_runtime.database.migrations import migrate
from service_runtime.keys.rotation import check_keys
from service_runtime.observability import metrics
from service_runtime.process.lifecycle import first_ended, only_process, stop_signal
from service_runtime.process.operators import operators_listeners
from service_runtime.rpc import server
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import Identify, development_caller
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.rpc.paging import PageTokens
from shipedge.webhooks.config.v1 import (
    admin_service_pb2_grpc,
    config_service_pb2_grpc,
    feed_service_pb2_grpc,
)

SERVICES = (
    "shipedge.webhooks.config.v1.ConfigService",
    "shipedge.webhooks.config.v1.FeedService",
    "shipedge.webhooks.config.v1.AdminService",
)
COMPACT_SECONDS = 3600.0
CALLERS_SECONDS = 1.0
DAY_SECONDS = 86_400.0
FEED_GRACE_SECONDS = 2.0

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT, then finish the calls that were begun.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(only_process(sqlite_file(settings.database()), "config service"))
        await migrate(settings.database(), "config_service")
        engine = create_engine(settings.database(), application_name="config_service")
        stack.push_async_callback(engine.dispose)
        notifier = ChangeNotifier()
        ring = settings.key_ring()
        async with reading(engine) as db:
            await check_keys(db, ring, SEALED_COLUMNS)
        store = Store(engine, Sealing(ring, settings.url_rules()), notifier.notify)
        health = ServerHealth(SERVICES, lambda: check_alive(engine))
        callers = settings.callers()
        identify = development_caller if callers is None else callers.identify
        grpc_server = build_server(settings, store, notifier, health, identify)
        tasks = [asyncio.create_task(health.run())]
        tasks.append(asyncio.create_task(_compact(engine, settings.tombstones)))
        if callers is not None:
            await _read_callers(engine, callers)
            tasks.append(asyncio.create_task(_follow_callers(engine, callers, notifier)))
        tasks.append(asyncio.create_task(_watch_certificates(engine)))
        await stack.enter_async_context(
            operators_listeners(
                settings.operators_listen, settings.metrics_listen, health, SERVICES
            )
        )
        await _serve(settings, grpc_server, health, tasks)


def build_server(
    settings: Settings,
    store: Store,
    notifier: ChangeNotifier,
    health: ServerHealth,
    identify: Identify = development_caller,
) -> grpc.aio.Server:
    """
    Make the server with all its services.
    """
    files = settings.tls_files()
    grpc_server, port = server.build(
        settings.listen,
        interceptors=[
            CallInterceptor(identify, measure=metrics.measure_call, store_is_away=is_unavailable)
        ],
        credentials=None if files is None else server.server_credentials(*files),
    )
    tokens = PageTokens(store.sealing.ring.keyed_hash("page tokens", "config"))
    config_service_pb2_grpc.add_ConfigServiceServicer_to_server(
        ConfigServicer(
            store,
            tokens,
            tuple(settings.egress_ranges),
            notifier=notifier,
            poll_seconds=settings.feed_poll.total_seconds(),
            heartbeat_seconds=settings.feed_heartbeat.total_seconds(),
        ),
        grpc_server,
    )
    feed_servicer = FeedServicer(
        store,
        notifier,
        poll_seconds=settings.feed_poll.total_seconds(),
        heartbeat_seconds=settings.feed_heartbeat.total_seconds(),
    )
    feed_service_pb2_grpc.add_FeedServiceServicer_to_server(feed_servicer, grpc_server)
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(
        AdminServicer(store, tokens), grpc_server
    )
    health.add_to(grpc_server)
    if not settings.production:
        server.enable_reflection(grpc_server, SERVICES)
    log.info("service.listening", service="config", listen=settings.listen, port=port)
    return grpc_server


async def _serve(
    settings: Settings,
    grpc_server: grpc.aio.Server,
    health: ServerHealth,
    tasks: list[asyncio.Task[None]],
) -> None:
    await grpc_server.start()
    await first_ended(stop_signal(), *tasks)
    await health.drain()
    # The feed never ends by itself: only calls that do are waited for.
    await server.stop(grpc_server, min(settings.grace.total_seconds(), FEED_GRACE_SECONDS))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("service.stopped", service="config")


async def _read_callers(engine: AsyncEngine, callers: CallerDirectory) -> None:
    """
    Take over the callers of the database.
    """
    async with reading(engine) as db:
        callers.replace(await caller_store.entries(db))


async def _follow_callers(
    engine: AsyncEngine, callers: CallerDirectory, notifier: ChangeNotifier
) -> None:
    """
    Take over each change of the callers: at once those of this process, soon those of others.
    """
    while True:
        changed = notifier.next_change()
        try:
            await _read_callers(engine, callers)
        except Exception as error:  # noqa: BLE001 - it is tried again
            log.error("callers.read_failed", error_type=type(error).__name__)
        await wait(changed, CALLERS_SECONDS)


async def _watch_certificates(engine: AsyncEngine) -> None:
    """
    Warn every day of client certificates that expire within a month.
    """
    while True:
        try:
            async with writing(engine) as db:
                found = await endpoint_feed.warn_of_certificates(db)
        except Exception as error:  # noqa: BLE001 - it is tried again
            log.error("certificates.read_failed", error_type=type(error).__name__)
            found = []
        for name, days in found:
            if days < max(endpoint_feed.WARN_DAYS):
                log.warning("certificate.expires", name=name, count=days)
        metrics.CERTIFICATE_DAYS.set(min((days for _, days in found), default=float("inf")))
        await asyncio.sleep(DAY_SECONDS)


async def _compact(engine: AsyncEngine, tombstones: timedelta) -> None:
    while True:
        try:
            await feed.compact(engine, tombstones)
        except Exception as error:  # noqa: BLE001 - it is tried again
            log.error("feed.compact_failed", error_type=type(error).__name__)
        await asyncio.sleep(COMPACT_SECONDS)

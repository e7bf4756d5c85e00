"""
Wires the config service together; the only module that imports all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

import grpc
import structlog

from config_service.api.admin import AdminServicer
from config_service.api.config import ConfigServicer
from config_service.api.confirmations import CONNECTED_FOR, Confirmations
from config_service.api.feed import ChangeNotifier, FeedServicer
from config_service.background import (
    CALLERS_FAILED,
    acknowledgements_loop,
    callers_loop,
    endpoint_events_loop,
    read_callers,
    store_loops,
)
from config_service.settings import Settings
from config_service.store.audit import audit_log
from config_service.store.feed import pages
from config_service.store.sealed_columns import SEALED_COLUMNS
from config_service.store.store import Sealing, Store
from service_runtime.database.engine import (
    create_engine,
    reading,
    sqlite_file,
)
from service_runtime.database.migrations import migrate_at_start
from service_runtime.database.usable import usable
from service_runtime.keys.rotation import check_key_file, check_keys
from service_runtime.observability.loop_lag import watch_loop
from service_runtime.observability.metrics import show_keys
from service_runtime.observability.tracing import traced
from service_runtime.process.background import (
    BackgroundTasks,
    audit_loop,
    health_loop,
    heartbeat_loop,
    tls_loop,
)
from service_runtime.process.failures import FailureLog
from service_runtime.process.lifecycle import only_process, stop_signal
from service_runtime.process.operators import operators_listeners
from service_runtime.process.periodic import Periodic
from service_runtime.process.progress import Progress, Readiness
from service_runtime.process.serving import listening_server
from service_runtime.rpc import server
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import Identify, development_caller
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.paging import PageTokens
from service_runtime.tls.current import CurrentTls
from shipedge.webhooks.config.v1 import (
    config_admin_service_pb2_grpc,
    config_service_pb2_grpc,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2_grpc,
)

SERVICES = (
    "shipedge.webhooks.config.v1.ConfigService",
    "shipedge.webhooks.feed.v1.FeedService",
    "shipedge.webhooks.config.v1.ConfigAdminService",
)

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT, then finish the running calls.
    """
    tls = settings.tls("server")
    async with AsyncExitStack() as stack:
        stack.enter_context(traced("config", exported=settings.traces == "otlp"))
        stack.enter_context(only_process(sqlite_file(settings.database()), "config service"))
        await migrate_at_start(settings.database(), "config_service")
        engine = create_engine(settings.database(), application_name="config_service")
        stack.push_async_callback(engine.dispose)
        async with reading(engine) as db:
            await check_key_file(db, settings.missing_key_file(), SEALED_COLUMNS)
            await check_keys(db, settings.key_ring(), SEALED_COLUMNS)
        ring, callers, callers_changed = settings.key_ring(), settings.callers(), asyncio.Event()
        show_keys(ring.first, ring.key_ids[1:])
        audit = audit_log(ring)
        await audit.begin(engine)
        sealing = Sealing(ring, settings.url_rules())
        if callers is not None:
            callers.use_link_key(sealing.link_key)
            with usable(settings.database()):
                await read_callers(engine, callers, FailureLog(CALLERS_FAILED))
        notifier = ChangeNotifier(callers_changed)
        # A quiet reader acknowledges heartbeats alone.
        connected_for = max(CONNECTED_FOR, 2 * settings.feed_heartbeat)
        confirmations = Confirmations(engine, notifier, connected_for)
        limits = settings.owner_limits()
        store = Store(engine, sealing, audit, confirmations.changed, limits)
        progress = Progress("changes", partial(pages.beat, engine))
        health = ServerHealth(SERVICES, Readiness([progress]).check)
        identify: Identify = development_caller if callers is None else callers.identify
        if tls is not None:
            identify = tls.unless_revoked(identify)
        grpc_server = build_server(
            settings, store, notifier, confirmations, health, identify, tls, callers
        )
        listeners = (settings.operators_listen, settings.metrics_listen)
        await stack.enter_async_context(operators_listeners(*listeners, health, SERVICES))
        loops = {
            "health": health_loop(health),
            "heartbeat": heartbeat_loop(progress),
            "acknowledgements": acknowledgements_loop(confirmations),
            "audit": audit_loop(audit, engine, settings.audit_retention),
            "endpoint_events": endpoint_events_loop(engine, settings.endpoint_event_retention),
            **store_loops(engine, settings.tombstones),
        }
        if tls is not None:
            loops["tls"] = tls_loop(tls)
        if callers is not None:
            loops["callers"] = callers_loop(engine, callers, callers_changed)
        await _serve(settings, grpc_server, health, loops)


def build_server(
    settings: Settings,
    store: Store,
    notifier: ChangeNotifier,
    confirmations: Confirmations,
    health: ServerHealth,
    identify: Identify = development_caller,
    tls: CurrentTls | None = None,
    callers: CallerDirectory | None = None,
) -> grpc.aio.Server:
    """
    Create the gRPC server with all its services.
    """
    grpc_server = listening_server(
        "config", settings, SERVICES, identify=identify, tls=tls, health=health
    )
    _add_services(grpc_server, settings, store, notifier, confirmations, callers)
    return grpc_server


def _add_services(
    grpc_server: grpc.aio.Server,
    settings: Settings,
    store: Store,
    notifier: ChangeNotifier,
    confirmations: Confirmations,
    callers: CallerDirectory | None,
) -> None:
    tokens = PageTokens(store.sealing.ring.keyed_hash("page tokens", "config"))
    poll_seconds = settings.feed_poll.total_seconds()
    heartbeat_seconds = settings.feed_heartbeat.total_seconds()
    config = ConfigServicer(
        store,
        tokens,
        tuple(settings.egress_ranges),
        callers=callers,
        notifier=notifier,
        poll_seconds=poll_seconds,
        heartbeat_seconds=heartbeat_seconds,
    )
    feed_servicer = FeedServicer(
        store,
        notifier,
        confirmations,
        poll_seconds=poll_seconds,
        heartbeat_seconds=heartbeat_seconds,
    )
    admin = AdminServicer(store, tokens)
    config_service_pb2_grpc.add_ConfigServiceServicer_to_server(config, grpc_server)
    feed_service_pb2_grpc.add_FeedServiceServicer_to_server(feed_servicer, grpc_server)
    config_admin_service_pb2_grpc.add_ConfigAdminServiceServicer_to_server(admin, grpc_server)


async def _serve(
    settings: Settings,
    grpc_server: grpc.aio.Server,
    health: ServerHealth,
    loops: Mapping[str, Periodic],
) -> None:
    """
    Serve until a signal comes or a task ends, then stop in the order in which work flows.
    """
    async with BackgroundTasks() as tasks:
        tasks.start("signal", stop_signal())
        tasks.start("loop lag", watch_loop())
        for name, loop in loops.items():
            tasks.start(name, loop.run())
        await grpc_server.start()
        await tasks.first_ended()
        await health.drain()
        await server.stop(grpc_server, settings.grace.total_seconds())
    log.info("service.stopped", service="config")

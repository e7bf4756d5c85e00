"""
The supervisor of a dispatch service with several worker processes on one port.

It takes no calls of publishers. It keeps the workers running, and serves their merged health
and metrics to operators.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from dispatch_service.app import SERVICES, prepare, run
from dispatch_service.settings import Settings
from service_runtime.observability.loop_lag import watch_loop
from service_runtime.observability.merged_metrics import Family, merged
from service_runtime.observability.metrics import FamiliesCollector, families
from service_runtime.observability.tasks import start_awaited
from service_runtime.process.background import BackgroundTasks, health_loop
from service_runtime.process.lifecycle import on_reload, only_listeners, stop_signal
from service_runtime.process.operators import operators_listeners
from service_runtime.process.worker_reports import ControlChannel
from service_runtime.process.workers import Workers
from service_runtime.rpc.health import ServerHealth

STOP_MARGIN = timedelta(seconds=10)
METRICS_SECONDS = 5.0

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """
    Serve with the number of processes in *settings*. A single one needs no supervisor.
    """
    await (run(settings) if settings.workers == 1 else supervise(settings))


async def supervise(settings: Settings) -> None:
    """
    Keep workers running until SIGTERM or SIGINT, then stop them.

    Raises `PortTakenError`, `TlsInvalidError`, and `WorkerFailedError` if a worker cannot be
    started or ends with an error.
    """
    with only_listeners(settings.public_listens()):
        await prepare(settings)
        settings.tls("server", "client")
        workers = Workers(settings.workers, command, stop_seconds=_stop_seconds(settings))
        on_reload(workers.reload)
        health = ServerHealth(SERVICES, workers.check)
        log.info("supervisor.started", service="dispatch", listen=settings.listen)
        async with operators_listeners(
            settings.operators_listen, settings.metrics_listen, health, SERVICES, _registry(workers)
        ):
            await _serve(workers, health)
    log.info("supervisor.stopped", service="dispatch")


async def _serve(workers: Workers, health: ServerHealth) -> None:
    async with BackgroundTasks() as tasks:
        tasks.start("signal", stop_signal())
        tasks.start("loop lag", watch_loop())
        tasks.start("health", health_loop(health).run())
        await workers.run(start_awaited(_drained(tasks.first_ended(), health), "drain"))


async def _drained(stopped: Awaitable[object], health: ServerHealth) -> None:
    await stopped
    await health.drain()


def command(control: ControlChannel) -> Sequence[str]:
    """
    Return the command line of a worker.
    """
    worker = ("--control", str(control.number), str(control.descriptor))
    return (sys.executable, "-m", "dispatch_service", "serve", *worker)


def _stop_seconds(settings: Settings) -> float:
    """
    Return how long a worker may take to stop: the grace for calls, then the deadline for
    attempts.
    """
    return (settings.grace + settings.deadline + STOP_MARGIN).total_seconds()


def _registry(workers: Workers) -> CollectorRegistry:
    loop = asyncio.get_running_loop()

    def read() -> list[Family]:
        # Called by threads of the listener; only the event loop may ask the workers.
        asked = asyncio.run_coroutine_threadsafe(workers.families(), loop)
        return merged([asked.result(METRICS_SECONDS), families()])

    registry = CollectorRegistry()
    registry.register(FamiliesCollector(read))
    return registry

"""
What runs in the background of the dispatch service, and the order in which it stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import grpc
import structlog

from dispatch_service.delivery import expiry, replicas, suspects
from dispatch_service.delivery.replicas import Replicas
from dispatch_service.engine.build import Engine
from dispatch_service.feed import reporter
from dispatch_service.figures import roll_up
from dispatch_service.health import url_verifier
from dispatch_service.log import usage
from dispatch_service.parts import Parts
from dispatch_service.resend import job_runner
from service_runtime.observability.loop_lag import watch_loop
from service_runtime.process.background import BackgroundTasks, audit_loop, health_loop, tls_loop
from service_runtime.process.failures import trace_of
from service_runtime.process.lifecycle import stop_signal, tune_garbage_collector
from service_runtime.process.periodic import Periodic
from service_runtime.process.worker_reports import ControlChannel
from service_runtime.rpc import server
from service_runtime.rpc.health import ServerHealth

COMMITS = "commits"
HEARTBEATS = "heartbeats"
RESULTS = "results"

HOLDS_SECONDS = 5.0

LAST_WRITE_SECONDS = 5.0
"""
How long a service that stops waits for each of its last writes.
"""

log = structlog.get_logger()


async def serve(
    parts: Parts,
    engine: Engine,
    grpc_server: grpc.aio.Server,
    health: ServerHealth,
    control: ControlChannel | None,
) -> None:
    """
    Serve until a signal comes or a task ends, then stop in the order in which work flows.

    A worker answers its supervisor on *control*, and stops when that one is gone.
    """
    loops = background_loops(parts, engine, health)
    async with BackgroundTasks() as tasks:
        tasks.start("signal", stop_signal())
        tasks.start("loop lag", watch_loop())
        if control is not None:
            tasks.start("control", control.answer(lambda: health.serving))
        tasks.start(COMMITS, engine.acceptance.waiting.run(engine.acceptance.committer.commit))
        tasks.start(RESULTS, engine.delivery.results.run())
        tasks.start(HEARTBEATS, _heartbeats(engine.delivery.replicas).run())
        for name, loop in loops.items():
            tasks.start(name, loop.run())
        tune_garbage_collector()
        await grpc_server.start()
        await tasks.first_ended()
        await health.drain()
        await tasks.cancel(*loops)
        await _finish(engine, tasks, grpc_server, parts.settings.grace.total_seconds())
        await tasks.cancel(HEARTBEATS)
        await _leave(engine)
    log.info("service.stopped", service="dispatch")


def background_loops(parts: Parts, engine: Engine, health: ServerHealth) -> Mapping[str, Periodic]:
    """
    Return all loops by name.
    """
    loops = {"health": health_loop(health), **_work(parts, engine), **_watches(engine)}
    keep = parts.settings.audit_retention
    loops["audit"] = audit_loop(parts.audit, parts.bulk_store, keep)
    if parts.tls is not None:
        loops["tls"] = tls_loop(parts.tls, [engine.feed.channel.renew])
    return loops


def _work(parts: Parts, engine: Engine) -> Mapping[str, Periodic]:
    """
    Return the loops that move work on; most are woken when there is some.
    """
    poll_seconds = parts.settings.poll_interval.total_seconds()
    return {
        "feed": Periodic(
            engine.feed.client.run_once,
            pause_seconds=engine.feed.client.next_pause,
            failure="feed.apply_failed",
        ),
        "late matches": Periodic(
            engine.late.run_once,
            pause_seconds=engine.late.pause_seconds,
            failure="event.match_failed",
            wakeup=parts.signals.newly_known,
        ),
        "claims": Periodic(
            engine.delivery.claimer.run_once,
            pause_seconds=poll_seconds,
            failure="delivery.claim_failed",
            wakeup=parts.signals.deliveries_due,
            progress=engine.delivery.claims,
        ),
        "suspects": Periodic(
            engine.delivery.suspects.run_once,
            pause_seconds=suspects.IDLE_SECONDS,
            failure="delivery.suspect_failed",
            wakeup=engine.delivery.suspects.arrived,
        ),
        "backlog updates": Periodic(
            engine.feed.updater.run_once,
            pause_seconds=poll_seconds,
            failure="backlog_update.failed",
            wakeup=parts.signals.updates_recorded,
        ),
        "jobs": Periodic(
            engine.jobs.run_once,
            pause_seconds=job_runner.IDLE_SECONDS,
            failure="resend_job.failed",
            wakeup=parts.signals.jobs_created,
        ),
    }


def _heartbeats(known: Replicas) -> Periodic:
    """
    Return the loop that goes on until the last attempt has ended: what others did not take over.
    """
    return Periodic(
        known.heartbeat,
        pause_seconds=known.heartbeat_seconds,
        failure="replicas.heartbeat_failed",
    )


def _watches(engine: Engine) -> Mapping[str, Periodic]:
    """
    Return the loops that only look at the clock.
    """
    return {
        "replicas": Periodic(
            engine.delivery.replicas.sync,
            pause_seconds=replicas.SYNC_SECONDS,
            failure="replicas.sync_failed",
            pause_first=True,
        ),
        "takeovers": Periodic(
            engine.delivery.replicas.take_over,
            pause_seconds=replicas.FORGET_SECONDS,
            failure="replicas.take_over_failed",
            wakeup=engine.delivery.replicas.found_dead,
            pause_first=True,
        ),
        "backlog count": Periodic(
            engine.acceptance.backlog.count,
            pause_seconds=engine.acceptance.backlog.pause_seconds,
            failure="backlog.count_failed",
        ),
        "holds": Periodic(
            engine.feed.applier.end_holds,
            pause_seconds=HOLDS_SECONDS,
            failure="feed.holds_failed",
            pause_first=True,
        ),
        "expiry": Periodic(
            engine.delivery.expirer.run_once,
            pause_seconds=expiry.INTERVAL_SECONDS,
            failure="delivery.expiry_failed",
        ),
        "log usage": Periodic(
            engine.log_usage.run_once,
            pause_seconds=usage.SYNC_SECONDS,
            failure="log.usage_failed",
            pause_first=True,
        ),
        "figures": Periodic(
            engine.figures.run_once,
            pause_seconds=roll_up.INTERVAL_SECONDS,
            failure="figures.failed",
            pause_first=True,
        ),
        "url challenges": Periodic(
            engine.verifier.run_once,
            pause_seconds=url_verifier.INTERVAL_SECONDS,
            failure="endpoint.verify_failed",
        ),
        "reports": Periodic(
            engine.feed.reporter.run_once,
            pause_seconds=reporter.INTERVAL_SECONDS,
            failure="endpoint.report_failed",
        ),
        **engine.maintenance.loops(),
    }


async def _finish(
    engine: Engine, tasks: BackgroundTasks, grpc_server: grpc.aio.Server, grace_seconds: float
) -> None:
    """
    Finish calls and attempts, then what they have left to be committed and written.
    """
    endpoint_queues = engine.delivery.endpoint_queues
    engine.delivery.suspects.stop()
    await asyncio.gather(
        server.stop(grpc_server, grace_seconds), endpoint_queues.drain(grace_seconds)
    )
    engine.acceptance.waiting.stop()
    await tasks.ended(COMMITS, LAST_WRITE_SECONDS)
    await engine.feed.client.leave()
    # What was committed in the last moments may have been queued after the queues were drained.
    endpoint_queues.stop()
    engine.delivery.results.stop(LAST_WRITE_SECONDS)
    await tasks.ended(RESULTS, 2 * LAST_WRITE_SECONDS)


async def _leave(engine: Engine) -> None:
    """
    Write what can be written; a store that is away is not waited for.
    """
    try:
        async with asyncio.timeout(LAST_WRITE_SECONDS):
            await engine.feed.reporter.flush()
            await engine.log_usage.run_once()
            await engine.delivery.suspects.leave()
            await engine.delivery.replicas.leave()
    except Exception as error:
        # The service ends, whatever the store says.
        log.warning(
            "service.shutdown_timed_out",
            error_type=type(error).__name__,
            exc_info=trace_of(error),
        )

"""
The background tasks of a service, by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.audit.log import AuditLog
from service_runtime.observability.tasks import start_awaited
from service_runtime.process.lifecycle import first_ended, on_reload
from service_runtime.process.periodic import Periodic
from service_runtime.process.progress import Progress
from service_runtime.rpc.health import CHECK_SECONDS, ServerHealth
from service_runtime.tls.current import CurrentTls
from service_runtime.tls.watch import LOOK_SECONDS, TlsWatch

AUDIT_SECONDS = 3600.0

log = structlog.get_logger()


class BackgroundTasks:
    """
    Tasks that run until the service stops them; at the end of the block none is left.

    `asyncio.TaskGroup` cancels all its tasks together. A service stops its tasks one after
    the other, in the order in which work flows through them.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cancel(*self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """
        Start *work* under a name that is not used yet.
        """
        self._tasks[name] = start_awaited(work, name)

    async def first_ended(self) -> None:
        """
        Wait until one of the tasks ends. Raises what that task raised.
        """
        await first_ended(*self._tasks.values())

    async def ended(self, name: str, seconds: float) -> None:
        """
        Wait until a task ends by itself, but no longer than *seconds*.
        """
        await asyncio.wait([self._tasks[name]], timeout=seconds)

    async def cancel(self, *names: str) -> None:
        """
        Cancel tasks and wait until they have ended; errors that they raise are dropped.
        """
        tasks = [self._tasks[name] for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def tls_loop(tls: CurrentTls, renewals: Sequence[Callable[[], Awaitable[object]]] = ()) -> Periodic:
    """
    Return the loop that takes up new TLS files, at once after SIGHUP. *renewals* are called then.
    """
    watch = TlsWatch(tls, renewals)
    loop = Periodic(watch.run_once, pause_seconds=LOOK_SECONDS, failure="tls.reload_failed")
    on_reload(loop.wake)
    return loop


def health_loop(health: ServerHealth) -> Periodic:
    """
    Return the loop that keeps *health* true.
    """
    return Periodic(health.check_once, pause_seconds=CHECK_SECONDS, failure="health.check_failed")


def audit_loop(audit: AuditLog, engine: AsyncEngine, keep: timedelta) -> Periodic:
    """
    Return the loop that deletes audit entries which are older than *keep*.
    """

    async def prune() -> None:
        if count := await audit.prune(engine, keep):
            log.info("audit.pruned", count=count)

    return Periodic(
        prune, pause_seconds=AUDIT_SECONDS, failure="audit.prune_failed", pause_first=True
    )


def heartbeat_loop(progress: Progress) -> Periodic:
    """
    Return a loop that writes heartbeats, for a service whose other work is calls.
    """
    made = Periodic(progress.beat, pause_seconds=CHECK_SECONDS, failure="store.heartbeat_failed")
    progress.wake = made.wake
    return made

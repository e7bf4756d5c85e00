"""
The worker processes of a supervisor: started, asked for reports, restarted and stopped.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import structlog

from service_runtime.observability.dispatch_metrics import (
    WORKER_RESTARTS,
    WORKERS_CONFIGURED,
    WORKERS_RUNNING,
)
from service_runtime.observability.merged_metrics import Family, MergedMetrics
from service_runtime.observability.tasks import start_awaited
from service_runtime.process.lifecycle import first_ended
from service_runtime.process.worker_process import Command, WorkerProcess, start

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""
After a life of this length the next pause is the first one again.
"""

MOST_FAILED_STARTS = 5
"""
After so many starts in a row without serving the worker is given up.
"""

ENDED_WELL = frozenset({0, 128 + signal.SIGTERM})
"""
The exit codes of a worker that was asked to stop; the second one while it was starting.
"""

log = structlog.get_logger()


class Restarts:
    """
    The restarts of one worker, with growing pauses.
    """

    def __init__(self) -> None:
        self._short_lives = 0
        self._failed_starts = 0

    def pause_after(self, lived_seconds: float, *, served: bool) -> float | None:
        """
        Return how many seconds to wait before a restart, None to give up.
        """
        self._failed_starts = 0 if served else self._failed_starts + 1
        if self._failed_starts >= MOST_FAILED_STARTS:
            return None
        self._short_lives = 1 if lived_seconds >= SETTLED_SECONDS else self._short_lives + 1
        doublings = min(self._short_lives - 1, 16)
        return min(FIRST_PAUSE_SECONDS * 2.0**doublings, LONGEST_PAUSE_SECONDS)


class WorkerFailedError(Exception):
    """
    A worker could not be started, or ended with an error; *code* is its exit code.
    """

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(problem)
        self.code = code or 1


class NoWorkerServesError(Exception):
    """
    No worker serves.
    """


class Workers:
    """
    Keeps *count* workers running, numbered from 1. Used by one event loop only.
    """

    def __init__(self, count: int, command: Command, *, stop_seconds: float) -> None:
        self._count = count
        self._command = command
        self._stop_seconds = stop_seconds
        self._living: dict[int, WorkerProcess] = {}
        self._metrics = MergedMetrics()
        self._stopping = asyncio.Event()
        WORKERS_CONFIGURED.read_with(lambda: float(count))
        WORKERS_RUNNING.read_with(lambda: float(len(self._living)))

    async def check(self) -> None:
        """
        Ask all workers. Raises `NoWorkerServesError` if none serves.
        """
        if not any(await self._ask()):
            raise NoWorkerServesError("no worker serves")

    async def families(self) -> list[Family]:
        """
        Ask all workers; return their merged metrics.
        """
        await self._ask()
        return self._metrics.with_living([it.families for it in self._living.values()])

    async def _ask(self) -> Sequence[bool]:
        return await asyncio.gather(*(it.serves() for it in list(self._living.values())))

    def reload(self) -> None:
        """
        Ask all workers to read their TLS files again.
        """
        for worker in self._living.values():
            worker.reload()

    async def run(self, stopped: asyncio.Task[None]) -> None:
        """
        Keep all workers running until *stopped* ends, then stop them.

        Raises `WorkerFailedError`.
        """
        numbers = range(1, self._count + 1)
        slots = [start_awaited(self._keep(number), f"worker {number}") for number in numbers]
        try:
            await first_ended(stopped, *slots)
        finally:
            codes = await self._stop(slots)
        bad = [code for code in codes if code not in ENDED_WELL]
        if bad:
            raise WorkerFailedError("a worker did not end well", bad[0])

    async def _stop(self, slots: Sequence[asyncio.Task[int]]) -> list[int]:
        """
        Stop all workers, by force after a time; return their exit codes.
        """
        self._stopping.set()
        for worker in self._living.values():
            worker.terminate()
        await asyncio.wait(slots, timeout=self._stop_seconds)
        for worker in self._living.values():
            log.error("worker.killed", worker=worker.number)
            worker.kill()
        codes = await asyncio.gather(*slots, return_exceptions=True)
        return [code for code in codes if isinstance(code, int)]

    async def _keep(self, number: int) -> int:
        """
        Start a worker, and restart it until all stop; return its last exit code.
        """
        restarts = Restarts()
        while True:
            worker = await self._started(number)
            code = await worker.ended()
            del self._living[number]
            self._metrics.end(worker.families)
            if self._stopping.is_set():
                return code
            WORKER_RESTARTS.add()
            pause = restarts.pause_after(worker.lived_seconds(), served=worker.served)
            log.error("worker.ended", worker=number, code=code, seconds=pause)
            if pause is None:
                raise WorkerFailedError(f"worker {number} cannot be started", code)
            if await self._stops_within(pause):
                return 0

    async def _started(self, number: int) -> WorkerProcess:
        worker = await start(number, self._command)
        self._living[number] = worker
        log.info("worker.started", worker=number, process=worker.pid)
        if self._stopping.is_set():
            worker.terminate()
        return worker

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

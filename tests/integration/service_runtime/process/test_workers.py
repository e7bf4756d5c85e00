"""
Worker processes and their supervisor, with small programs as workers.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from service_runtime.process import workers as worker_processes
from service_runtime.process.lifecycle import only_listener, only_listeners
from service_runtime.process.worker_reports import ControlChannel
from service_runtime.process.workers import NoWorkerServesError, WorkerFailedError, Workers
from service_runtime.rpc.server import PortTakenError
from tests.support.databases import free_port
from tests.support.figures import figure, moved

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.heavy]

PATIENCE = 30.0
GOOD = """
import asyncio, sys
from service_runtime.observability.dispatch_metrics import EVENTS
from service_runtime.observability.instruments import Gauge
from service_runtime.process.background import BackgroundTasks
from service_runtime.process.lifecycle import stop_signal
from service_runtime.process.worker_reports import ControlChannel

async def serve(control):
    EVENTS.add(count=control.number)
    Gauge("seen_by_all", "The same in each.", how="max").read_with(lambda: 7.0)
    async with BackgroundTasks() as tasks:
        tasks.start("signal", stop_signal())
        tasks.start("control", control.answer(lambda: True))
        await tasks.first_ended()

asyncio.run(serve(ControlChannel(*map(int, sys.argv[1:]))))
"""
STUBBORN = f"""
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
{GOOD}
"""


def program(text: str) -> Callable[[ControlChannel], Sequence[str]]:
    """
    Make the command of a worker that runs *text*.
    """
    return lambda control: (
        sys.executable,
        "-c",
        text,
        str(control.number),
        str(control.descriptor),
    )


class Run:
    """
    Workers that run until `stop`.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._asked = asyncio.Event()
        self.task = asyncio.create_task(workers.run(asyncio.create_task(self._stopped())))

    async def _stopped(self) -> None:
        await self._asked.wait()

    async def stop(self) -> None:
        """
        Stop them; raise what came of it.
        """
        self._asked.set()
        await self.task

    async def metric(self, name: str) -> float:
        """
        Return the merged value of a metric, 0 if no worker has reported it.
        """
        families = await self.workers.families()
        return sum(it.value for family in families for it in family.samples if it.name == name)

    async def shows(self, name: str, value: float) -> None:
        """
        Wait until a metric has a value.
        """
        async with asyncio.timeout(PATIENCE):
            while await self.metric(name) != value:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(text: str = GOOD, *, stop_seconds: float = PATIENCE) -> AsyncIterator[Run]:
    """
    Run two workers; see that they are stopped.
    """
    run = Run(Workers(2, program(text), stop_seconds=stop_seconds))
    try:
        yield run
    finally:
        if not run.task.done():
            await run.stop()


async def test_metrics_of_all_workers_are_merged() -> None:
    """
    Counters are summed, a gauge that is the same in each is not; all workers stop without error.
    """
    async with running() as run:
        await run.shows("webhooks_events_accepted_total", 1 + 2)
        await run.workers.check()

        assert await run.metric("seen_by_all") == 7
        await run.stop()
        with pytest.raises(NoWorkerServesError):
            await run.workers.check()


async def test_worker_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Another takes its place, and what the dead one had counted is counted still.
    """
    monkeypatch.setattr(worker_processes, "FIRST_PAUSE_SECONDS", 0.01)
    async with running() as run:
        await run.shows("webhooks_events_accepted_total", 1 + 2)
        with moved("webhooks_worker_restarts_total") as restarts:
            assert figure("webhooks_workers_configured") == 2
            assert figure("webhooks_workers_running") == 2
            run.workers._living[2].kill()
            async with asyncio.timeout(PATIENCE):
                while restarts() != 1:
                    await asyncio.sleep(0.02)

        await run.shows("webhooks_events_accepted_total", 1 + 2 + 2)
        await run.workers.check()


async def test_worker_that_cannot_start_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Its exit code is the supervisor's.
    """
    monkeypatch.setattr(worker_processes, "FIRST_PAUSE_SECONDS", 0.01)
    async with running("import sys; sys.exit(3)") as run:
        with pytest.raises(WorkerFailedError) as failed:
            await run.task

    assert failed.value.code == 3


async def test_stragglers_are_killed() -> None:
    """
    A worker that does not stop in time is killed, and that is not a good end.
    """
    async with running(STUBBORN, stop_seconds=0.1) as run:
        await run.shows("webhooks_events_accepted_total", 1 + 2)
        with pytest.raises(WorkerFailedError) as failed:
            await run.stop()

    assert failed.value.code == 128 + 9


def test_port_is_not_shared_with_strangers() -> None:
    """
    A port that somebody listens on is taken, even where that one would share it.
    """
    port = free_port()
    with only_listener(f"127.0.0.1:{port}"):
        pass
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        with pytest.raises(PortTakenError, match=str(port)), only_listener(f"127.0.0.1:{port}"):
            pass


def test_address_has_one_supervisor() -> None:
    """
    A second one is refused from the first moment on, before any worker listens.
    """
    listen = f"127.0.0.1:{free_port()}"
    with only_listener(listen):
        with pytest.raises(PortTakenError), only_listener(listen):
            pass
    with only_listener(listen):
        pass


def test_all_addresses_of_a_supervisor_are_locked() -> None:
    """
    The second listener is, too; one that is taken leaves no other locked.
    """
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with only_listeners([first, second]), pytest.raises(PortTakenError), only_listener(second):
        pass
    with only_listener(second), pytest.raises(PortTakenError), only_listeners([first, second]):
        pass
    with only_listener(first):
        pass

"""
One worker process, as its supervisor sees it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from service_runtime.observability.merged_metrics import Family
from service_runtime.observability.tasks import start_watched
from service_runtime.process.worker_reports import (
    QUESTION,
    ControlChannel,
    Report,
    open_end,
    read_report,
)

ANSWER_SECONDS = 1.0

Command = Callable[[ControlChannel], Sequence[str]]
"""
Makes the command line of a worker.
"""


class WorkerProcess:
    """
    A child process that shares its port with others. Made by `start`.
    """

    def __init__(
        self,
        number: int,
        child: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.number = number
        self.served = False
        self._child = child
        self._writer = writer
        self._started = time.monotonic()
        self._last: Report | None = None
        self._asked: set[asyncio.Future[Report]] = set()
        self._reading = start_watched(self._read(reader), f"reports of worker {number}")

    @property
    def pid(self) -> int:
        """
        The id of the process.
        """
        return self._child.pid

    @property
    def families(self) -> Sequence[Family]:
        """
        The metrics of its last report.
        """
        return () if self._last is None else self._last.families

    def lived_seconds(self) -> float:
        """
        Return how long ago it was started.
        """
        return time.monotonic() - self._started

    async def serves(self) -> bool:
        """
        Ask for a report; return whether the worker serves. No answer in time means that it does
        not.
        """
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._asked.add(answer)
        self._writer.write(QUESTION)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return (await answer).serving
        except TimeoutError:
            return False
        finally:
            self._asked.discard(answer)

    def terminate(self) -> None:
        """
        Ask it to finish its calls and attempts, and to exit.
        """
        self._child.terminate()

    def reload(self) -> None:
        """
        Ask it to read its TLS files again.
        """
        self._child.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """
        End it at once.
        """
        self._child.kill()

    async def ended(self) -> int:
        """
        Wait until all its reports are read and it has exited; return the exit code as a shell
        shows it.
        """
        await self._reading
        self._writer.close()
        code = await asyncio.to_thread(self._child.wait)
        return code if code >= 0 else 128 - code

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._last = await read_report(reader)
                self.served = self.served or self._last.serving
                for answer in self._asked:
                    if not answer.done():
                        answer.set_result(self._last)


async def start(number: int, command: Command) -> WorkerProcess:
    """
    Start a worker in a process group of its own, so that Ctrl-C reaches only the supervisor.
    """
    own_end, worker_end = socket.socketpair()
    with worker_end, _hangup_blocked():
        # Unlike asyncio's subprocesses this calls no fork handlers, which gRPC does not support.
        child = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program; it takes a millisecond
            command(ControlChannel(number, worker_end.fileno())),
            pass_fds=(worker_end.fileno(),),
            start_new_session=True,
        )
    return WorkerProcess(number, child, *await open_end(own_end))


@contextmanager
def _hangup_blocked() -> Iterator[None]:
    """
    Block SIGHUP, which a child inherits: it waits until the child handles it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

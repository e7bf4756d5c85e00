"""
Services that are forked from a process which has imported them: a start takes a
third of the CPU time, since most of it are imports.

They run the same `__main__` in a process of their own. Tests of what a fork could hide,
such as the command line, workers and memory, start services as they are shipped.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import cast

_POLL_SECONDS = 0.01
_END_SECONDS = 60

_CONTEXT = multiprocessing.get_context("forkserver")
# Nothing of these starts a thread, which a fork would lose.
_CONTEXT.set_forkserver_preload(
    [
        "aiosqlite",
        "asyncpg",
        "config_service.app",
        "dispatch_service.app",
        "dispatch_service.supervisor",
        "service_runtime.process.command",
        "sqlalchemy.dialects.postgresql.asyncpg",
        "sqlalchemy.dialects.sqlite.aiosqlite",
        "tests.support.preloaded",
        "tests.support.frozen_objects",
    ]
)


class PreloadedService:
    """
    A forked service, with what tests use of `asyncio.subprocess.Process`.
    """

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        """
        Return the exit code, negative for a signal; `None` while the service runs.
        """
        return self._process.exitcode

    async def wait(self) -> int:
        """
        Wait until the service has ended; return its exit code.
        """
        while (code := self.returncode) is None:
            await asyncio.sleep(_POLL_SECONDS)
        return code

    def terminate(self) -> None:
        """
        Ask the service to stop.
        """
        self._process.terminate()

    def kill(self) -> None:
        """
        Kill the service.
        """
        self._process.kill()


async def start(
    module: str,
    environment: Mapping[str, str],
    log: Path | None = None,
    arguments: Sequence[str] = (),
) -> asyncio.subprocess.Process:
    """
    Run *module* as `python -m` does, in a group of its own; what it writes is added to *log*.
    """
    process = _started(module, environment, log, arguments)
    return cast("asyncio.subprocess.Process", PreloadedService(process))


def run(module: str, environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """
    Run *module* until it ends; return its exit code and what it wrote. Raises `TimeoutError` if
    it does not end by itself.
    """
    with tempfile.TemporaryDirectory(prefix="webhooks-run-") as directory:
        log = Path(directory) / "log"
        process = _started(module, environment, log, arguments)
        process.join(_END_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(log.read_text())
        return process.exitcode, log.read_text()


def _started(
    module: str, environment: Mapping[str, str], log: Path | None, arguments: Sequence[str]
) -> ForkServerProcess:
    given = (module, dict(environment), log, arguments)
    process = _CONTEXT.Process(target=_run, args=given, daemon=True)
    process.start()
    return process


def _run(
    module: str, environment: dict[str, str], log: Path | None, arguments: Sequence[str]
) -> None:
    os.setsid()
    if log is not None:
        with log.open("ab") as file:
            for output in (1, 2):
                os.dup2(file.fileno(), output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)

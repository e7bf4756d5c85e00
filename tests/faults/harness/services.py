"""
The services as processes of their own, that are stopped, killed, paused and started again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from tests.support import preloaded

CONFIG, DISPATCH = "config_service", "dispatch_service"
SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass
class Service:
    """
    A service that runs `python -m PACKAGE` and writes its log to a file.

    Its first start is as it is shipped; later ones, and with *fast* the first, are forked from a
    process that has imported it, because a machine that is busy takes seconds for the imports.
    """

    package: str
    environment: dict[str, str]
    log: Path
    fast: bool = False
    child: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return processes.address_of(self.package, self.environment)

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    @property
    def alive(self) -> bool:
        """
        Whether the process runs.
        """
        return self.child is not None and self.child.returncode is None

    async def start(self, *, wait: bool = True, **more: str) -> None:
        """
        Start it, with *more* settings; wait until it is SERVING, unless told otherwise.

        Raises `ServiceEndedError` if it ends before that.
        """
        self.child = await self._spawn({**self.environment, **more})
        if wait:
            await processes.wait_serving(self.address, self.child, self.package)

    async def _spawn(self, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        # A process that was forked from one with all imports starts in a tenth of the time.
        if self.fast or (self.child is not None and "LD_PRELOAD" not in environment):
            return await preloaded.start(self.package, environment, self.log)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *processes.command(self.package),
                env=dict(environment),
                start_new_session=True,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: int) -> None:
        """
        Send a signal, if the process runs.
        """
        if self.alive:
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """
        Kill it and wait for its end.
        """
        self.signal(signal.SIGKILL)
        if self.child is not None:
            await self.child.wait()

    async def stop(self) -> int:
        """
        Stop it as an operator would; return its exit code.
        """
        assert self.child is not None
        return await processes.stop(self.child)

    async def health(self, service: str = "") -> str:
        """
        Return what the health service says, or the code with which it does not answer.
        """
        async with channel.connect(self.address) as connection:
            stub = health_pb2_grpc.HealthStub(connection)
            request = health_pb2.HealthCheckRequest(service=service)
            try:
                answer = await stub.Check(request, timeout=2)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """
        Return the lines of the log, or those of one *event*; what is not JSON is left out.
        """
        found = []
        for text in self.log.read_text().splitlines() if self.log.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and (not event or line.get("event") == event):
                found.append(line)
        return found

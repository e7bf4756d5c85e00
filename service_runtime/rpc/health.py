"""
The health service of gRPC: readiness by the names of services, and liveness by a name of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

CHECK_SECONDS = 1.0
CHECK_DEADLINE_SECONDS = 3.0

LIVENESS = "liveness"
"""
The name under which a probe asks whether the event loop runs, and nothing else: a store that is
away is no reason to restart a service.
"""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


class _Servicer(health_aio.HealthServicer):  # type: ignore[misc]
    """
    Answers for `LIVENESS` always: that it does is the answer.
    """

    async def Check(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> health_pb2.HealthCheckResponse:
        if request.service == LIVENESS:
            return health_pb2.HealthCheckResponse(status=SERVING)
        return await super().Check(request, context)


class ServerHealth:
    """
    The readiness of the server as a whole and of each of *services*. *check* raises where they
    are not ready, with the reason as its text.
    """

    def __init__(self, services: Sequence[str], check: Callable[[], Awaitable[None]]) -> None:
        self._services = ("", *services)
        self._check = check
        self._servicer = _Servicer()
        self._status: int | None = None
        self._draining = False
        self._on_drain: list[Callable[[], None]] = []

    def add_to(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    @property
    def serving(self) -> bool:
        """
        Whether the status is SERVING.
        """
        return bool(self._status == SERVING)

    async def check_once(self) -> None:
        """
        Check and set the status.
        """
        try:
            async with asyncio.timeout(CHECK_DEADLINE_SECONDS):
                await self._check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not serving
            # Who starts, or stops, does not serve: that is no warning.
            expected = self._status is None or self._draining
            problem = str(error) or type(error).__name__
            await self._set(NOT_SERVING, problem, expected=expected)
        else:
            await self._set(NOT_SERVING if self._draining else SERVING, "")

    def on_drain(self, end: Callable[[], None]) -> None:
        """
        Have *end* called by `drain`: it ends what would not end by itself.
        """
        self._on_drain.append(end)

    async def drain(self) -> None:
        """
        Set NOT_SERVING for good, so that no more calls come.
        """
        self._draining = True
        await self._set(NOT_SERVING, "draining")
        for end in self._on_drain:
            end()

    async def _set(self, status: int, problem: str, *, expected: bool = True) -> None:
        if status == self._status:
            return
        self._status = status
        state = "SERVING" if status == SERVING else "NOT_SERVING"
        write = log.info if expected else log.warning
        write("health.changed", state=state, problem=problem)
        for service in self._services:
            await self._servicer.set(service, status)

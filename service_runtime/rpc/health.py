"""
The health service of gRPC: SERVING only while the store answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

CHECK_SECONDS = 1.0
CHECK_DEADLINE_SECONDS = 3.0

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


class ServerHealth:
    """
    The health of the server as a whole and of each of *services*.
    """

    def __init__(self, services: Sequence[str], check: Callable[[], Awaitable[None]]) -> None:
        self._services = ("", *services)
        self._check = check
        self._servicer = health_aio.HealthServicer()
        self._status: int | None = None
        self._draining = False

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
        Check the store and set the status.
        """
        try:
            async with asyncio.timeout(CHECK_DEADLINE_SECONDS):
                await self._check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not serving
            await self._set(NOT_SERVING, type(error).__name__)
        else:
            await self._set(NOT_SERVING if self._draining else SERVING, "")

    async def drain(self) -> None:
        """
        Set NOT_SERVING for good, so that no more calls come.
        """
        self._draining = True
        await self._set(NOT_SERVING, "draining")

    async def _set(self, status: int, problem: str) -> None:
        if status == self._status:
            return
        self._status = status
        log.info(
            "health.changed",
            state="SERVING" if status == SERVING else "NOT_SERVING",
            problem=problem,
        )
        for service in self._services:
            await self._servicer.set(service, status)

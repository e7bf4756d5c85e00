"""
Tells the config service what was learnt about endpoints, until it has heard it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import structlog

from dispatch_service import health_store
from dispatch_service.health_log import HealthLog
from dispatch_service.suppressions import Suppressions
from shipedge.webhooks.config.v1 import (
    endpoint_event_pb2,
    feed_service_pb2,
    feed_service_pb2_grpc,
)
from shipedge.webhooks.runtime.database import reading, writing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

INTERVAL_SECONDS = 2.0
CALL_SECONDS = 10.0
BATCH = 200

log = structlog.get_logger()


class Reporter:
    """
    Works off the reports that lie in the table. Several processes may do so at a
    time: a report that is repeated changes nothing.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        channel: grpc.aio.Channel,
        health_log: HealthLog,
        suppressions: Suppressions,
        *,
        dispatcher: str,
    ) -> None:
        self._engine = engine
        self._stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        self._health_log = health_log
        self._suppressions = suppressions
        self._dispatcher = dispatcher

    async def run(self) -> None:
        """
        Report for ever.
        """
        while True:
            try:
                await self.run_once()
            except grpc.aio.AioRpcError as error:
                log.warning("endpoint.report_failed", code=error.code().name)
            except Exception as error:  # noqa: BLE001 - the store may be back at the next turn
                log.error("endpoint.report_failed", error_type=type(error).__name__)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def run_once(self) -> int:
        """
        Write down what was counted, learn what other processes wrote, and report;
        return how many reports were heard.
        """
        await self.flush()
        await self._health_log.load(self._engine)
        told = 0
        while count := await self._batch():
            told += count
        return told

    async def flush(self) -> None:
        """
        Write down what was counted.
        """
        if self._suppressions:
            async with writing(self._engine) as db:
                await self._suppressions.store(db)

    async def _batch(self) -> int:
        async with reading(self._engine) as db:
            rows = await health_store.oldest_reports(db, BATCH)
        if not rows:
            return 0
        request = feed_service_pb2.ReportEndpointEventsRequest(
            endpoint_events=[
                endpoint_event_pb2.EndpointEvent.FromString(row.report) for row in rows
            ],
            dispatcher=self._dispatcher,
        )
        request.send_time.GetCurrentTime()
        await self._stub.ReportEndpointEvents(request, timeout=CALL_SECONDS)
        async with writing(self._engine) as db:
            await health_store.drop_reports(db, rows)
        return len(rows)

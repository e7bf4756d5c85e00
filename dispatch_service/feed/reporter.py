"""
The reports of endpoint events to the config service, each sent until it was received.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import grpc

from dispatch_service.feed import reports
from service_runtime.database.engine import reading, writing
from service_runtime.observability.sampled_lines import SampledLines
from shipedge.webhooks.config.v1 import (
    endpoint_event_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
    feed_service_pb2_grpc,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

INTERVAL_SECONDS = 2.0
CALL_SECONDS = 10.0
BATCH = 200


class Reporter:
    """
    Sends the stored reports. Several processes may do so at a time: a report that is
    repeated changes nothing.

    *load_health* reads what other processes stored of the health of endpoints, *store_counts*
    stores counts that are still in memory as reports. *replica* is the name of this process.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        channel: grpc.aio.Channel,
        load_health: Callable[[AsyncEngine], Awaitable[None]],
        store_counts: Callable[[AsyncEngine], Awaitable[None]],
        *,
        replica: str,
    ) -> None:
        self._engine = engine
        self._stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        self._load_health = load_health
        self._store_counts = store_counts
        self._replica = replica
        self._failed = SampledLines("endpoint.report_failed")

    async def run_once(self) -> None:
        """
        Store counts, read what other processes stored, and send all reports.
        """
        await self.flush()
        await self._load_health(self._engine)
        try:
            while await self._batch():
                pass
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            self._failed.log(code, code=code)

    async def flush(self) -> None:
        """
        Store the counts that are still in memory.
        """
        await self._store_counts(self._engine)

    async def _batch(self) -> int:
        async with reading(self._engine) as db:
            rows = await reports.oldest_reports(db, BATCH)
        if not rows:
            return 0
        request = feed_service_pb2.ReportEndpointEventsRequest(
            endpoint_events=[
                endpoint_event_pb2.EndpointEvent.FromString(row.report) for row in rows
            ],
            replica=self._replica,
        )
        request.send_time.GetCurrentTime()
        await self._stub.ReportEndpointEvents(request, timeout=CALL_SECONDS)
        async with writing(self._engine) as db:
            await reports.drop_reports(db, rows)
        return len(rows)

"""
The simple variant that the benchmark compares with, for the same contract.

Unary calls, a statement and a commit for each row, `MessageToDict`, httpx with its own
transport, 32 concurrent deliveries. It guarantees nothing but a row for each event.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import ssl
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import httpx
import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.engine import create_engine
from service_runtime.observability import metrics
from service_runtime.process.background import BackgroundTasks, health_loop
from service_runtime.process.lifecycle import stop_signal
from service_runtime.process.progress import Readiness
from service_runtime.rpc.health import ServerHealth
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2

CONCURRENCY = 32
TABLES = (
    "CREATE TABLE naive_events (id text PRIMARY KEY, account bigint, body text)",
    "CREATE TABLE naive_deliveries (id uuid PRIMARY KEY, event text, url text, state text)",
    "CREATE TABLE naive_attempts (id uuid PRIMARY KEY, delivery uuid, code int, at timestamptz)",
)


class Publisher(publisher_service_pb2_grpc.PublisherServiceServicer):
    """
    Accepts events and delivers them from a queue in memory.
    """

    def __init__(self, store: AsyncEngine, client: httpx.AsyncClient, url: str) -> None:
        self._store = store
        self._client = client
        self._url = url
        self._queue: asyncio.Queue[tuple[str, event_pb2.Event]] = asyncio.Queue()

    async def PublishEvents(
        self,
        request: publisher_service_pb2.PublishEventsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> publisher_service_pb2.PublishEventsResponse:
        """
        Write each event and its delivery, one by one.
        """
        answer = publisher_service_pb2.PublishEventsResponse()
        for event in request.events:
            delivery = str(uuid4())
            body = json.dumps(MessageToDict(event))
            await self._run(
                "INSERT INTO naive_events VALUES (:id, :account, :body)",
                id=event.event_id,
                account=event.account_id,
                body=body,
            )
            await self._run(
                "INSERT INTO naive_deliveries VALUES (CAST(:id AS uuid), :event, :url, 'PENDING')",
                id=delivery,
                event=event.event_id,
                url=self._url,
            )
            self._queue.put_nowait((delivery, event))
            answer.results.add().accepted.name = event.event_id
        return answer

    def StreamEvents(
        self,
        request_iterator: AsyncIterator[publisher_service_pb2.StreamEventsRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[publisher_service_pb2.StreamEventsResponse]:
        """
        Refuse: the simple variant has no streams.
        """
        raise NotImplementedError

    async def deliver(self) -> None:
        """
        Deliver queued events until cancelled.
        """
        while True:
            delivery, event = await self._queue.get()
            body = json.dumps(MessageToDict(event)).encode()
            signature = hmac.new(b"secret", body, "sha256").hexdigest()
            headers = {"X-Shipedge-Event-Id": event.event_id, "webhook-signature": signature}
            answer = await self._client.post(self._url, content=body, headers=headers)
            await self._run(
                "UPDATE naive_deliveries SET state = 'SUCCEEDED' WHERE id = CAST(:id AS uuid)",
                id=delivery,
            )
            await self._run(
                "INSERT INTO naive_attempts VALUES (gen_random_uuid(), CAST(:id AS uuid), :code,"
                " now())",
                id=delivery,
                code=answer.status_code,
            )

    async def _run(self, statement: str, **parameters: Any) -> None:
        async with self._store.begin() as db:
            await db.execute(sa.text(statement), parameters)


async def serve() -> None:
    """
    Serve until a signal arrives.
    """
    store = create_engine(os.environ["SHIPEDGE_DISPATCH_DATABASE_URL"], application_name="naive")
    async with store.begin() as db:
        for table in TABLES:
            await db.execute(sa.text(table))
    context = ssl.create_default_context(cafile=os.environ["SHIPEDGE_DISPATCH_RECEIVER_CA_FILE"])
    client = httpx.AsyncClient(verify=context, timeout=30)
    publisher = Publisher(store, client, os.environ["BENCH_RECEIVER_URL"])
    server = grpc.aio.server()
    server.add_insecure_port(os.environ["SHIPEDGE_DISPATCH_LISTEN"])
    publisher_service_pb2_grpc.add_PublisherServiceServicer_to_server(publisher, server)
    health = ServerHealth((), Readiness([]).check)
    health.add_to(server)
    metrics.serve(os.environ["SHIPEDGE_DISPATCH_METRICS_LISTEN"])
    await server.start()
    async with BackgroundTasks() as tasks:
        tasks.start("signal", stop_signal())
        tasks.start("health", health_loop(health).run())
        for number in range(CONCURRENCY):
            tasks.start(f"delivery {number}", publisher.deliver())
        await tasks.first_ended()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve())

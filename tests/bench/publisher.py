"""
The benchmark's publisher, a process of its own.

    python -m tests.bench.publisher '{"address": "127.0.0.1:50052", "total": 20000}'

It prints one line of JSON when all events are acknowledged. Without a rate it keeps *parallel*
calls open; with a rate it publishes on schedule, even if answers are late.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count, cycle
from typing import Any

import grpc
import msgspec
import uvloop

from dispatch_service.payloads import example_event
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from tests.bench.figures import percentile

RETRY_SECONDS = 0.05
RETRIED = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED})
"""
After these errors a batch is sent again: the service is overloaded, or gRPC gave up a call that
the service had not started within half a minute.
"""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """
    The events to publish: *total* events of *accounts* accounts, from *first_account* on.

    *rate* is in events per second; 0 means as fast as answers arrive. Batches use *connections*
    connections in turn.
    """

    address: str
    total: int
    batch: int = 100
    parallel: int = 8
    rate: float = 0.0
    first_account: int = 100
    accounts: int = 1
    connections: int = 1


class Publisher:
    """
    Publishes a load and measures the acknowledgements.
    """

    def __init__(
        self, load: Load, stubs: Sequence[publisher_service_pb2_grpc.PublisherServiceAsyncStub]
    ):
        self._load = load
        self._stubs = cycle(stubs)
        self._example = example_event("orders/shipped")
        self._number = count()
        self._acks_ms: list[float] = []
        self._refused = 0

    async def run(self) -> dict[str, Any]:
        """
        Publish all events; return the report.
        """
        started = time.monotonic_ns()
        if self._load.rate:
            await self._on_schedule()
        else:
            batches = iter(self._sizes())
            async with asyncio.TaskGroup() as group:
                for _ in range(self._load.parallel):
                    group.create_task(self._one_by_one(batches))
        used = resource.getrusage(resource.RUSAGE_SELF)
        ordered = sorted(self._acks_ms)
        return {
            "started_ns": started,
            "ended_ns": time.monotonic_ns(),
            "ack_p50_ms": percentile(ordered, 50),
            "ack_p99_ms": percentile(ordered, 99),
            "refused": self._refused,
            "cpu_s": used.ru_utime + used.ru_stime,
        }

    def _sizes(self) -> Iterator[int]:
        load = self._load
        for done in range(0, load.total, load.batch):
            yield min(load.batch, load.total - done)

    async def _one_by_one(self, batches: Iterator[int]) -> None:
        for size in batches:
            await self._publish(size)

    async def _on_schedule(self) -> None:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for at, size in enumerate(self._sizes()):
                due = started + at * self._load.batch / self._load.rate
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                group.create_task(self._publish(size))

    async def _publish(self, size: int) -> None:
        started = time.monotonic_ns()
        request = publisher_service_pb2.PublishEventsRequest()
        for _ in range(size):
            number = next(self._number)
            event = request.events.add()
            event.CopyFrom(self._example)
            event.event_id = f"t{started}-{number}"
            event.account_id = self._load.first_account + number % self._load.accounts
            event.order_status_changed.order.id = number + 1
        while not await self._accepted(request):
            self._refused += size
            await asyncio.sleep(RETRY_SECONDS)
        self._acks_ms.append((time.monotonic_ns() - started) / 1e6)

    async def _accepted(self, request: publisher_service_pb2.PublishEventsRequest) -> bool:
        try:
            answer = await next(self._stubs).PublishEvents(request)
        except grpc.aio.AioRpcError as error:
            if error.code() in RETRIED:
                return False
            raise
        bad = [it for it in answer.results if it.HasField("error")]
        if bad:
            raise RuntimeError(f"not accepted: {bad[0]}")
        return True


async def main(source: str) -> None:
    """
    Publish the load that *source* describes.
    """
    load = msgspec.json.decode(source, type=Load)
    async with AsyncExitStack() as stack:
        stubs = []
        for _ in range(load.connections):
            opened = channel.connect(load.address, own_connection=True)
            await stack.enter_async_context(opened)
            await opened.channel_ready()
            stubs.append(publisher_service_pb2_grpc.PublisherServiceStub(opened))
        print(json.dumps(await Publisher(load, stubs).run()))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))

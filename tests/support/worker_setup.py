"""
What the tests of worker processes play on: a pair whose dispatch service has two, over
PostgreSQL, and a receiver that answers when it is told to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import httpx

from dispatch_service.domain.transitions import State
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2
from tests.e2e.test_pair import shipped
from tests.support.databases import free_port
from tests.support.pair import CONFIG, DISPATCH, Pair, environment_of
from tests.support.receivers import Received, Receiver, https_receiver

PATIENCE_SECONDS = 60.0


@dataclass
class Gate:
    """
    A receiver's script that keeps requests waiting until the gate is opened.
    """

    opened: asyncio.Event

    async def __call__(self, received: Received) -> None:
        await self.opened.wait()
        await received.answer(200)


@dataclass
class Stage:
    """
    A running pair whose dispatch service has two workers, and its receiver.
    """

    pair: Pair
    receiver: Receiver
    gate: Gate
    database: str

    @property
    def supervisor(self) -> int:
        """
        The id of the supervisor's process.
        """
        return self.pair.children[DISPATCH].pid

    def workers(self) -> list[int]:
        """
        Return the ids of the workers' processes that live.
        """
        children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text()
        return [pid for pid in map(int, children.split()) if lives(pid)]

    async def asked(self, query: str) -> list[Any]:
        """
        Return the first column of what the dispatch database answers.
        """
        connection = await asyncpg.connect(self.database)
        try:
            return [row[0] for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def holds(self, query: str, wanted: Callable[[list[Any]], bool]) -> None:
        """
        Wait until the dispatch database answers as wanted.
        """
        patient = time.monotonic() + PATIENCE_SECONDS
        while not wanted(answer := await self.asked(query)):
            assert time.monotonic() < patient, f"{query}: {answer}"
            # Each question opens a connection, which takes milliseconds of the processor.
            await asyncio.sleep(0.2)

    async def published_through_both(self, prefix: str = "held") -> list[str]:
        """
        Publish to the closed gate, each time over another connection, until both workers have
        deliveries; return the ids of the events, which begin with *prefix*.
        """
        self.gate.opened.clear()
        published: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS), AsyncExitStack() as stack:
            while len(await self.asked(LEASE_OWNERS)) < 2:
                event_id = f"{prefix}-{len(published)}"
                stub = await connected(stack, self.pair.address(DISPATCH))
                await publish(stub, [shipped(event_id)])
                published.append(event_id)
                await self._hold(len(published))
        return published

    async def _hold(self, deliveries: int) -> None:
        wanted = f"{State.DELIVERING} {deliveries}"
        await self.holds(STATES, lambda states: wanted in states)

    def received(self) -> list[str]:
        """
        Return the ids of the events that the receiver got, in order.
        """
        return [it.headers["x-shipedge-event-id"] for it in self.receiver.requests]

    async def metric(self, name: str) -> float:
        """
        Return a metric as operators see it.
        """
        listen = self.pair.environment["SHIPEDGE_DISPATCH_METRICS_LISTEN"]
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://{listen}/metrics")).text
        found = [it.rsplit(" ", 1) for it in text.splitlines() if it.startswith(f"{name} ")]
        return float(found[0][1])


LEASE_OWNERS = "SELECT DISTINCT lease_owner FROM deliveries WHERE lease_owner IS NOT NULL"
UNFINISHED = "SELECT count(*) FROM deliveries WHERE end_time IS NULL"
DISPATCHERS = "SELECT count(*) FROM dispatchers"
STATES = "SELECT state || ' ' || count(*) FROM deliveries GROUP BY state"


def lives(pid: int) -> bool:
    """
    Tell whether a process runs; one that nobody has waited for yet does not.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def connected(
    stack: AsyncExitStack, address: str
) -> publisher_service_pb2_grpc.PublisherServiceAsyncStub:
    """
    Open a connection of its own, which is closed with *stack*.
    """
    opened = channel.connect(address, own_connection=True)
    return publisher_service_pb2_grpc.PublisherServiceStub(await stack.enter_async_context(opened))


async def publish(
    stub: publisher_service_pb2_grpc.PublisherServiceAsyncStub, events: Sequence[event_pb2.Event]
) -> None:
    """
    Publish events until they are accepted, as a publisher that does not give up.
    """
    request = publisher_service_pb2.PublishEventsRequest(events=events)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                answer = await stub.PublishEvents(request, timeout=5)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                assert all(it.HasField("accepted") for it in answer.results)
                return


@asynccontextmanager
async def running_stage(
    directory: Path, database: str, more: Mapping[str, str], *, is_open: bool = False
) -> AsyncIterator[Stage]:
    """
    Run a pair with two workers that know a subscription from the start.
    """
    gate = Gate(asyncio.Event())
    if is_open:
        gate.opened.set()
    async with https_receiver(gate, host="127.0.0.1") as receiver:
        environment = environment_of(
            directory,
            receiver,
            SHIPEDGE_DISPATCH_DATABASE_URL=database,
            SHIPEDGE_DISPATCH_WORKERS="2",
            SHIPEDGE_DISPATCH_METRICS_LISTEN=f"127.0.0.1:{free_port()}",
            SHIPEDGE_DISPATCH_OPERATORS_LISTEN=f"127.0.0.1:{free_port()}",
            **more,
        )
        config = environment["SHIPEDGE_CONFIG_LISTEN"]
        pair = Pair({"SHIPEDGE_DISPATCH_CONFIG_ADDRESS": config, **environment}, preloaded=True)
        stage = Stage(pair, receiver, gate, database)
        try:
            await pair.start(CONFIG)
            await pair.subscribe(receiver.url, "orders/shipped", "v2")
            # Supervisor and workers are as they are shipped.
            pair.preloaded = False
            await pair.start(DISPATCH)
            await stage.holds(DISPATCHERS, lambda them: them == [2])
            yield stage
        finally:
            gate.opened.set()
            for package in (DISPATCH, CONFIG):
                if package in pair.children:
                    await pair.stop(package)

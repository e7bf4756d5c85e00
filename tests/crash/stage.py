"""
The participants of crash tests: services that may die, a publisher that repeats its calls, a
receiver that records requests, and the log in the database.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import sqlalchemy as sa

from dispatch_service.payloads import example_event
from dispatch_service.storage.schema import attempts, deliveries, events
from service_runtime.database.engine import create_engine, reading
from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2
from tests.crash.ledger import Ledger, Request
from tests.support import preloaded
from tests.support.receivers import Received

DISPATCH = "dispatch_service"
CALL_SECONDS = 5.0
RETRY_SECONDS = 0.2

_RETRIED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


def shipped(event_id: str, account: int) -> event_pb2.Event:
    """
    Make the documented shipped order under another event id and account.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = event_id, account
    return event


@dataclass
class Replica:
    """
    A dispatch service that is killed and started again. *module* is what is run; what it says
    is added to *log*.
    """

    environment: dict[str, str]
    module: str = DISPATCH
    log: Path | None = None
    child: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return self.environment["SHIPEDGE_DISPATCH_LISTEN"]

    async def start(self, failpoint: str = "") -> None:
        """
        Start it; wait until it serves or, with a failpoint, has died.
        """
        environment = {**self.environment, "SHIPEDGE_DISPATCH_FAILPOINT": failpoint}
        self.child = await preloaded.start(self.module, environment, self.log)
        try:
            await processes.wait_serving(self.address, self.child, DISPATCH)
        except processes.ServiceEndedError:
            if not failpoint:
                raise

    async def died(self) -> None:
        """
        Wait until the process has ended.
        """
        assert self.child is not None
        async with asyncio.timeout(60):
            await self.child.wait()

    def signal(self, number: int) -> None:
        """
        Send a signal, if the process is running.
        """
        if self.child is not None and self.child.returncode is None:
            os.kill(self.child.pid, number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.child is not None:
            await self.child.wait()


@dataclass
class Publisher:
    """
    Publishes events to the replicas in turn, under the same ids, until they are acknowledged.
    """

    addresses: list[str]
    acknowledged: set[str] = field(default_factory=set)

    async def publish(self, events: list[event_pb2.Event]) -> None:
        """
        Publish *events* until all are acknowledged.
        """
        turn = 0
        while waiting := [event for event in events if event.event_id not in self.acknowledged]:
            await self._once(waiting, self.addresses[turn % len(self.addresses)])
            turn += 1

    async def _once(self, events: list[event_pb2.Event], address: str) -> None:
        request = publisher_service_pb2.PublishEventsRequest(events=events)
        async with channel.connect(address) as connection:
            stub = publisher_service_pb2_grpc.PublisherServiceStub(connection)
            try:
                answer = await stub.PublishEvents(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _RETRIED:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
                return
        for event, result in zip(events, answer.results, strict=True):
            if result.HasField("accepted"):
                self.acknowledged.add(event.event_id)
        if len(self.acknowledged.intersection(event.event_id for event in events)) < len(events):
            await asyncio.sleep(RETRY_SECONDS)


class Memory:
    """
    A script of a receiver that records requests, and confirms them.

    *refusals* has the statuses of the first answers, by event id. The first request for an event id
    in *holds* is never answered; its arrival sets the event.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.refusals: dict[str, list[int]] = {}
        self.holds: dict[str, asyncio.Event] = {}

    async def __call__(self, received: Received) -> None:
        event_id = received.headers["x-shipedge-event-id"]
        if (arrived := self.holds.pop(event_id, None)) is not None:
            self._record(received, confirmed=False)
            arrived.set()
            await asyncio.Event().wait()
        refusals = self.refusals.get(event_id)
        status = refusals.pop() if refusals else self.status()
        self._record(received, confirmed=status < 300)
        await received.answer(status)

    def _record(self, received: Received, *, confirmed: bool) -> None:
        headers = received.headers
        number = int(headers["x-shipedge-attempt"])
        self.requests.append(
            Request(
                headers["x-shipedge-event-id"], headers["webhook-id"], number, confirmed=confirmed
            )
        )

    def status(self) -> int:
        """
        Return the status of an answer without a refusal.
        """
        return 200


async def unfinished(database_url: str, ends: Sequence[str] = ("SUCCEEDED", "CANCELLED")) -> int:
    """
    Count the deliveries in no state of *ends*, and the events that have no deliveries yet
    because the service is still to match them: it may accept events before it knows the
    subscriptions.
    """
    count = sa.select(sa.func.count())
    is_open = deliveries.c.state.not_in(ends)
    is_unmatched = events.c.match_state == "PENDING_MATCH"
    query = sa.select(
        count.select_from(deliveries).where(is_open).scalar_subquery()
        + count.select_from(events).where(is_unmatched).scalar_subquery()
    )
    engine = create_engine(database_url, application_name="tests")
    try:
        async with reading(engine) as db:
            found = await db.execute(query)
            return int(found.scalar_one())
    finally:
        await engine.dispose()


async def read_log(database_url: str, ledger: Ledger) -> None:
    """
    Add the attempts in the log to a ledger.
    """
    columns = attempts.c
    engine = create_engine(database_url, application_name="tests")
    try:
        async with reading(engine) as db:
            rows = await db.execute(sa.select(columns.delivery_id, columns.number, columns.status))
            for delivery_id, number, status in rows:
                key = (f"dlv_{str(delivery_id).replace('-', '')}", number)
                ledger.attempts.add(key)
                if status == "INTERRUPTED":
                    ledger.interrupted.add(key)
    finally:
        await engine.dispose()


async def all_delivered(database_url: str, seconds: float) -> None:
    """
    Wait until `unfinished` is 0. Raises `TimeoutError` after *seconds*.
    """
    async with asyncio.timeout(seconds):
        while await unfinished(database_url):
            await asyncio.sleep(0.2)

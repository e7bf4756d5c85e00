"""
What the crash tests play on: services that may die, a publisher that does not
give up, a receiver that remembers, and the log read from the database.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import sqlalchemy as sa

from dispatch_service.payloads import example_event
from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.database.engine import create_engine, reading
from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2
from tests.crash.ledger import Ledger, Request
from tests.support.receivers import Received

DISPATCH = "dispatch_service"
CALL_SECONDS = 5.0
AGAIN_SECONDS = 0.2

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
    Make the documented shipped order of an account under another id.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = event_id, account
    return event


@dataclass
class Replica:
    """
    A dispatch service that is killed and started again. *module* is what is run;
    what it says goes to *log*.
    """

    environment: dict[str, str]
    module: str = DISPATCH
    log: Path | None = None
    child: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """
        Where it listens.
        """
        return self.environment["SHIPEDGE_DISPATCH_LISTEN"]

    async def start(self, failpoint: str = "") -> None:
        """
        Start it and wait until it serves, or has died of its failpoint.
        """
        environment = {**self.environment, "SHIPEDGE_DISPATCH_FAILPOINT": failpoint}
        self.child = await self._spawn(environment)
        try:
            await processes.wait_serving(self.address, self.child, DISPATCH)
        except processes.ServiceEndedError:
            if not failpoint:
                raise

    async def _spawn(self, environment: dict[str, str]) -> asyncio.subprocess.Process:
        if self.log is None:
            return await processes.start(self.module, environment)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *processes.command(self.module),
                env=environment,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )

    async def died(self) -> None:
        """
        Wait until it has died.
        """
        assert self.child is not None
        async with asyncio.timeout(60):
            await self.child.wait()

    def signal(self, number: int) -> None:
        """
        Send it a signal, if it still lives.
        """
        if self.child is not None and self.child.returncode is None:
            os.kill(self.child.pid, number)

    async def kill(self) -> None:
        """
        Kill it.
        """
        self.signal(signal.SIGKILL)
        if self.child is not None:
            await self.child.wait()


@dataclass
class Publisher:
    """
    Publishes until it is believed: under the same id, to whichever replica answers.
    """

    addresses: list[str]
    acknowledged: set[str] = field(default_factory=set)

    async def publish(self, events: list[event_pb2.Event]) -> None:
        """
        Publish events until all are acknowledged.
        """
        turn = 0
        while waiting := [it for it in events if it.event_id not in self.acknowledged]:
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
                await asyncio.sleep(AGAIN_SECONDS)
                return
        for event, result in zip(events, answer.results, strict=True):
            if result.HasField("accepted"):
                self.acknowledged.add(event.event_id)
        if len(self.acknowledged.intersection(it.event_id for it in events)) < len(events):
            await asyncio.sleep(AGAIN_SECONDS)


class Memory:
    """
    A receiver's script that remembers, and confirms; *refusals* are answered
    before, by event. *holds* are the events whose first request is never
    answered; each is told when that came.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.refusals: dict[str, list[int]] = {}
        self.holds: dict[str, asyncio.Event] = {}

    async def __call__(self, received: Received) -> None:
        """
        Answer a request.
        """
        event_id = received.headers["x-shipedge-event-id"]
        if (arrived := self.holds.pop(event_id, None)) is not None:
            self._note(received, confirmed=False)
            arrived.set()
            await asyncio.Event().wait()
        refusals = self.refusals.get(event_id)
        status = refusals.pop() if refusals else self.status()
        self._note(received, confirmed=status < 300)
        await received.answer(status)

    def _note(self, received: Received, *, confirmed: bool) -> None:
        headers = received.headers
        number = int(headers["x-shipedge-attempt"])
        self.requests.append(
            Request(
                headers["x-shipedge-event-id"], headers["webhook-id"], number, confirmed=confirmed
            )
        )

    def status(self) -> int:
        """
        Choose the status of an answer.
        """
        return 200


async def unfinished(database_url: str) -> int:
    """
    Count the deliveries that have not succeeded and were not given up.
    """
    waits = deliveries.c.state.not_in(("SUCCEEDED", "CANCELLED"))
    query = sa.select(sa.func.count()).select_from(deliveries).where(waits)
    engine = create_engine(database_url, application_name="tests")
    try:
        async with reading(engine) as db:
            found = await db.execute(query)
            return int(found.scalar_one())
    finally:
        await engine.dispose()


async def read_log(database_url: str, ledger: Ledger) -> None:
    """
    Read the attempts into a ledger.
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
    Wait until every delivery has succeeded. Raises `TimeoutError`.
    """
    async with asyncio.timeout(seconds):
        while await unfinished(database_url):
            await asyncio.sleep(0.2)

"""
A publisher that repeats its calls until they are acknowledged, and the ledger of what was.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

import grpc

from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2
from tests.crash.stage import shipped

OK = "OK"
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a publisher saw: its code is that of the call, or that of one event of it.

    The time is in monotonic seconds, from the end of the call.
    """

    time: float
    code: str
    seconds: float


@dataclass
class Publisher:
    """
    Publishes to *addresses* in turn. Every acknowledged event is written to the ledger.
    """

    addresses: Sequence[str]
    ledger: TextIO
    acknowledged: dict[str, float] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)

    async def publish(self, events: Iterable[event_pb2.Event]) -> None:
        """
        Publish events until all are acknowledged.
        """
        waiting = list(events)
        turn = len(self.answers)
        while waiting:
            await self._call(waiting, self.addresses[turn % len(self.addresses)])
            waiting = [event for event in waiting if event.event_id not in self.acknowledged]
            turn += 1
            if waiting:
                await asyncio.sleep(PAUSE_SECONDS)

    async def publish_many(self, prefix: str, account: int, count: int, batch: int = 20) -> None:
        """
        Publish *count* events of an account, in batches.
        """
        for first in range(0, count, batch):
            numbers = range(first, min(first + batch, count))
            await self.publish([shipped(f"{prefix}-{n}", account) for n in numbers])

    async def keep_publishing(self, prefix: str, account: int, pause_seconds: float = 0.1) -> None:
        """
        Publish one event after the other until cancelled; the last one is acknowledged, too.

        One whose call ended with its caller would be committed while deliveries are counted.
        """
        number = 0
        while True:
            event = shipped(f"{prefix}-{number}", account)
            publishing = asyncio.ensure_future(self.publish([event]))
            try:
                await asyncio.shield(publishing)
            except asyncio.CancelledError:
                await publishing
                raise
            number += 1
            await asyncio.sleep(pause_seconds)

    async def _call(self, events: list[event_pb2.Event], address: str) -> None:
        request = pb.PublishEventsRequest(events=events)
        started = time.monotonic()
        async with channel.connect(address) as connection:
            stub = publisher_service_pb2_grpc.PublisherServiceStub(connection)
            try:
                answer = await stub.PublishEvents(request, timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError as error:
                self._saw(error.code().name, started)
                return
        for event, result in zip(events, answer.results, strict=True):
            if result.HasField("accepted"):
                self.acknowledged[event.event_id] = time.monotonic()
                self.ledger.write(f"{event.event_id}\n")
                self._saw(OK, started)
            else:
                self._saw(f"event {grpc_code(result.error.code)}", started)
        self.ledger.flush()

    def _saw(self, code: str, started: float) -> None:
        now = time.monotonic()
        self.answers.append(Answer(now, code, now - started))

    def codes(self) -> Counter[str]:
        """
        Count the codes that were seen.
        """
        return Counter(answer.code for answer in self.answers)

    def first_ok_after(self, moment: float, least: float = 0.0) -> float:
        """
        Return the seconds from *moment*, monotonic, to the next success; infinity without one.

        Successes within *least* seconds do not count: they were under way.
        """
        since = [a.time - moment for a in self.answers if a.code == OK]
        times = [seconds for seconds in since if seconds >= least]
        return min(times, default=float("inf"))


async def stop(*publishing: asyncio.Future[None]) -> None:
    """
    End what keeps publishing, and wait for its last answers.
    """
    for task in publishing:
        task.cancel()
    await asyncio.gather(*publishing, return_exceptions=True)


def grpc_code(number: int) -> str:
    """
    Return the name of a gRPC code.
    """
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    return names.get(number, str(number))

"""
Endpoints of customers, each on a port of its own, that write down every request.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TextIO

from tests.crash.ledger import Request
from tests.support.receivers import Received, Receiver, https_receiver


@dataclass(slots=True)
class Arrival:
    """
    A request that arrived at *time*, in monotonic seconds. *status* is 0 until it is answered.
    """

    time: float
    endpoint: str
    event_id: str
    delivery_id: str
    number: int
    digest: str
    status: int = 0

    def request(self) -> Request:
        """
        Return what the ledger compares.
        """
        confirmed = 200 <= self.status < 300
        return Request(self.event_id, self.delivery_id, self.number, confirmed=confirmed)


@dataclass(slots=True)
class Journal:
    """
    All requests, in memory and in a file: a line when one arrives, and one when it is answered.
    """

    file: TextIO
    arrivals: list[Arrival] = field(default_factory=list)

    def add(self, arrival: Arrival) -> None:
        """
        Record a request.
        """
        self.arrivals.append(arrival)
        self.write(arrival)

    def write(self, arrival: Arrival) -> None:
        """
        Write the state of a request to the file.
        """
        line = {name: getattr(arrival, name) for name in Arrival.__slots__}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    def of(self, event_id: str) -> list[Arrival]:
        """
        Return the requests for an event.
        """
        return [arrival for arrival in self.arrivals if arrival.event_id == event_id]

    def confirmed(self) -> set[str]:
        """
        Return the ids of the events of which a delivery was confirmed.
        """
        return {arrival.event_id for arrival in self.arrivals if arrival.request().confirmed}


class Endpoint:
    """
    An endpoint that answers *status* after *seconds*. Both may be changed at any time.

    *decide*, if set, is asked for the status of each request when it has arrived.
    While it is stopped, connections to it are refused.
    """

    def __init__(self, name: str, journal: Journal, seconds: float = 0.0) -> None:
        self.name = name
        self.seconds = seconds
        self.status = 200
        self.decide: Callable[[Arrival], Awaitable[int]] | None = None
        self.arrivals: list[Arrival] = []
        self._journal = journal
        self._stack = AsyncExitStack()
        self._receiver: Receiver | None = None

    @property
    def receiver(self) -> Receiver:
        """
        Return the receiver of the last start.
        """
        assert self._receiver is not None
        return self._receiver

    @property
    def url(self) -> str:
        return self.receiver.url

    async def start(self) -> None:
        """
        Listen, on the same port as before.
        """
        port = self._receiver.port if self._receiver else 0
        made = https_receiver(self._script, host="127.0.0.1", port=port)
        self._receiver = await self._stack.enter_async_context(made)

    async def stop(self) -> None:
        """
        End all connections and refuse new ones.
        """
        await self._stack.aclose()

    async def _script(self, received: Received) -> None:
        arrival = self._record(received)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        status = await self.decide(arrival) if self.decide else self.status
        # The answer counts from the moment it is given: whether it arrives is the sender's matter.
        arrival.status = status
        self._journal.write(arrival)
        await received.answer(status)

    def _record(self, received: Received) -> Arrival:
        headers = received.headers
        arrival = Arrival(
            time.monotonic(),
            self.name,
            headers["x-shipedge-event-id"],
            headers["webhook-id"],
            int(headers["x-shipedge-attempt"]),
            sha256(received.body).hexdigest(),
        )
        self.arrivals.append(arrival)
        self._journal.add(arrival)
        return arrival

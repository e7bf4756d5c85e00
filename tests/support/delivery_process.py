"""
A process that delivers, without a network: the receiver is a function. It can be killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.attempt import AttemptWorker
from dispatch_service.delivery.claim import Claimer, Places
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.held_leases import HeldLeases
from dispatch_service.delivery.replicas import Replicas
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import AttemptSender, FinishedAttempt
from dispatch_service.delivery.suspect_attempts import SuspectAttempts
from dispatch_service.delivery.suspects import Suspects
from dispatch_service.domain.memory_usage import Bounds
from dispatch_service.domain.outcomes import Response, from_response
from dispatch_service.domain.work import Claimed, Lease, NewEvent
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import deliveries, dispatchers
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.periodic import Periodic
from tests.support.dispatch_factories import NOW, new_delivery, new_event, subscription

Answer = Callable[[Claimed], Awaitable[int]]

PAST = after(timedelta(hours=-1))
PAUSE_SECONDS = 0.02


def day_keys(store: AsyncEngine) -> DayKeys:
    """
    Make the data keys of a database.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    return DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock


def sealed_event(sealer: Sealer, **over: Any) -> NewEvent:
    """
    Make an event with a delivery that waits in the table, whose payload opens to `{}`.
    """
    event = new_event(new_delivery(), **over)
    (body,) = event.bodies
    contract = (body.event_type, body.payload_version)
    associated = associated_data.body(body.owner, event.account, event.event_id, contract)
    return replace(event, bodies=[replace(body, sealed_body=sealer.seal(b"{}", associated))])


class _Sender:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def send(
        self, claimed: Claimed, to: Subscription, _body: bytes, _accepted_at: float
    ) -> FinishedAttempt:
        status = await self._answer(claimed)
        outcome = from_response(Response(status_code=status), lambda: NOW)
        return FinishedAttempt(claimed, to, outcome, (), NOW)


class DeliveryProcess:
    """
    A process with a name of its own. *answer* is called for each request.
    """

    def __init__(
        self,
        store: AsyncEngine,
        queue: Queue,
        answer: Answer,
        *,
        name: str = "host-1-a",
        control_seconds: float = 0.0,
    ) -> None:
        self.store = store
        self.name = name
        index = SubscriptionIndex(received=True, complete=True)
        index.put(subscription(schedule=(timedelta(),) * 9))
        endpoints, keys, self.held = Endpoints(8), day_keys(store), HeldLeases()
        self.results = ResultWriter(queue, index, keys, held=self.held)
        attempts = SuspectAttempts(store, name)
        sender = cast(AttemptSender, _Sender(answer))
        worker = AttemptWorker(index, sender, self.results, endpoints, attempts, deadline=10)
        self.queues = EndpointQueues(
            worker.deliver, self.results.release, endpoints, Bounds(100, 1000)
        )
        self.suspects = Suspects(
            attempts,
            self.held,
            self.queues.admit,
            self.results.release,
            control_seconds=control_seconds,
        )
        places = Places(self.queues, self.suspects, self.results, self.held)
        lease = Lease(name, timedelta(seconds=45))
        self.claimer = Claimer(queue, places, endpoints, keys, lease)
        self.replicas = Replicas(store, endpoints, name)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """
        Begin to deliver.
        """
        await self.replicas.sync()
        await self.suspects.start()
        loops = [self.claimer.run_once, self.suspects.run_once]
        periodic = [
            Periodic(it, pause_seconds=PAUSE_SECONDS, failure="tests.failed") for it in loops
        ]
        work = [self.results.run(), *(it.run() for it in periodic)]
        self._tasks = [asyncio.create_task(it) for it in work]

    async def kill(self) -> None:
        """
        End all at once, as SIGKILL does: nothing more is written, and the leases run out.
        """
        tasks = [*self._tasks, *self.queues._runners]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        leased = deliveries.c.lease_owner == self.name
        async with writing(self.store) as db:
            await db.execute(sa.update(deliveries).where(leased).values(due_time=PAST))
            await db.execute(sa.update(dispatchers).values(heartbeat_time=PAST))

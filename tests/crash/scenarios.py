"""
The scenarios of the crash matrix: a failpoint where the service dies, and the work that it does
then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import sqlalchemy as sa

from dispatch_service.storage.schema import bodies, deliveries, erasures
from service_runtime.database.engine import create_engine, reading
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import (
    delivery_pb2,
    delivery_service_pb2_grpc,
    dispatch_admin_service_pb2,
    dispatch_admin_service_pb2_grpc,
)
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.crash.conftest import Stage
from tests.crash.ledger import Ledger, compare
from tests.crash.stage import Publisher, all_delivered, read_log, shipped
from tests.support.databases import free_port

EVENTS = 8
BATCH = 4
REQUEST_ID = "0190f3a0-0000-7000-8000-000000000001"


class ScenarioRun:
    """
    One scenario: an account with a subscription, and a replica with its own database.
    """

    def __init__(self, stage: Stage, account: int, database_url: str) -> None:
        self.stage = stage
        self.account = account
        self.database_url = database_url
        self.replica = stage.replica(database_url)
        self.publisher = Publisher([self.replica.address])
        self.events = [shipped(f"{account}-{n}", account) for n in range(EVENTS)]

    async def publish(self) -> None:
        """
        Publish all events in batches.
        """
        for first in range(0, EVENTS, BATCH):
            await self.publisher.publish(self.events[first : first + BATCH])

    async def die_while(self, failpoint: str, work: Callable[[], Awaitable[None]]) -> None:
        """
        Start the service with a failpoint, do *work* until it dies there, and start it again.
        """
        await self.replica.start(failpoint)
        working = asyncio.ensure_future(work())
        await self.replica.died()
        await self.replica.start()
        await working

    async def end(self, erased: frozenset[str] = frozenset()) -> None:
        """
        Wait until all but the *erased* events are delivered, and check the records.
        """
        await all_delivered(self.database_url, 120)
        own = {event.event_id for event in self.events}
        ledger = Ledger(self.publisher.acknowledged - erased)
        ledger.requests = [
            request for request in self.stage.memory.requests if request.event_id in own
        ]
        await read_log(self.database_url, ledger)
        result = compare(ledger)
        assert result.good, result
        assert result.acknowledged == EVENTS - len(erased)

    def deliveries(self) -> grpc.aio.Channel:
        """
        Open a channel to the delivery service.
        """
        return channel.connect(self.replica.address)


async def while_publishing(run: ScenarioRun, failpoint: str) -> None:
    """
    Die at a step between a publish call and the results of its deliveries.
    """
    await run.die_while(failpoint, run.publish)
    await run.end()


async def in_the_matcher(run: ScenarioRun, failpoint: str) -> None:
    """
    Die while matching events that arrived before the first snapshot.
    """
    unused = f"127.0.0.1:{free_port()}"
    config = run.replica.environment["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"]
    run.replica.environment["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"] = unused
    await run.replica.start()
    await run.publish()
    await run.replica.kill()
    run.replica.environment["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"] = config
    await run.die_while(failpoint, lambda: asyncio.sleep(0))
    await run.end()


async def after_failures(run: ScenarioRun, failpoint: str) -> None:
    """
    Die after claiming the retries of failed attempts.
    """
    run.stage.memory.refusals.update({event.event_id: [500] for event in run.events})
    await run.die_while(failpoint, run.publish)
    await run.end()


async def refused(run: ScenarioRun) -> list[delivery_pb2.Delivery]:
    """
    Publish to a receiver that refuses everything; return the deliveries once all have failed.
    """
    run.stage.memory.refusals.update({event.event_id: [500, 500] for event in run.events})
    await run.replica.start()
    await run.publish()
    async with asyncio.timeout(60), run.deliveries() as connection:
        stub = delivery_service_pb2_grpc.DeliveryServiceStub(connection)
        while True:
            request = pb.ListDeliveriesRequest(
                parent=f"accounts/{run.account}", filter="state = FAILED"
            )
            found = list((await stub.ListDeliveries(request)).deliveries)
            if len(found) == EVENTS:
                await run.replica.kill()
                return found
            await asyncio.sleep(0.1)


async def repeated(run: ScenarioRun, call: Callable[[grpc.aio.Channel], Awaitable[object]]) -> None:
    """
    Repeat a call while the service is unavailable.
    """
    while True:
        async with run.deliveries() as connection:
            try:
                await call(connection)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.2)
            else:
                return


async def on_a_resend(run: ScenarioRun, failpoint: str) -> None:
    """
    Die between the commit of a resend and its answer; the call is repeated.
    """
    failed = await refused(run)
    for number, delivery in enumerate(failed):
        request = pb.ResendDeliveryRequest(
            name=delivery.name, request_id=f"{REQUEST_ID[:-2]}{number:02}"
        )

        async def resend(wanted: pb.ResendDeliveryRequest = request) -> None:
            await repeated(
                run,
                lambda connection: delivery_service_pb2_grpc.DeliveryServiceStub(
                    connection
                ).ResendDelivery(wanted),
            )

        if number == 0:
            await run.die_while(failpoint, resend)
        else:
            await resend()
    await run.end()


async def in_a_job(run: ScenarioRun, failpoint: str) -> None:
    """
    Die in the middle of a batch of a resend job; the job resumes after the restart.
    """
    await refused(run)
    request = pb.ResendDeliveriesRequest(
        parent=f"accounts/{run.account}", request_id=REQUEST_ID, rate_limit=3
    )
    await run.die_while(
        failpoint,
        lambda: repeated(
            run,
            lambda connection: delivery_service_pb2_grpc.DeliveryServiceStub(
                connection
            ).ResendDeliveries(request),
        ),
    )
    await run.end()


async def while_erasing(run: ScenarioRun, failpoint: str) -> None:
    """
    Die after an erasure was recorded that waits for an attempt; the call is repeated.
    """
    held = run.events[0].event_id
    arrived = run.stage.memory.holds[held] = asyncio.Event()
    # Long enough that the attempt is still open during the erasure.
    run.replica.environment |= {
        "SHIPEDGE_DISPATCH_DEADLINE": "6s",
        "SHIPEDGE_DISPATCH_LEASE": "22s",
        "SHIPEDGE_DISPATCH_MAINTENANCE_INTERVAL": "1s",
    }
    request = dispatch_admin_service_pb2.EraseCustomerDataRequest(
        parent=f"accounts/{run.account}", event_id=held
    )

    async def erase() -> None:
        await run.publish()
        await arrived.wait()
        await repeated(
            run,
            lambda connection: dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(
                connection
            ).EraseCustomerData(request),
        )

    await run.die_while(failpoint, erase)
    await run.end(await erased(run, held))


async def erased(run: ScenarioRun, event_id: str) -> frozenset[str]:
    """
    Wait until an event is erased; return its id if its delivery was cancelled.
    """
    left = sa.select(
        sa.select(sa.func.count()).select_from(erasures).scalar_subquery()
        + sa.select(sa.func.count()).where(bodies.c.event_id == event_id).scalar_subquery()
    )
    state = sa.select(deliveries.c.state).where(deliveries.c.event_id == event_id)
    engine = create_engine(run.database_url, application_name="tests")
    try:
        async with asyncio.timeout(90):
            while True:
                async with reading(engine) as db:
                    if (await db.execute(left)).scalar_one() == 0:
                        cancelled = (await db.execute(state)).scalar_one() == "CANCELLED"
                        return frozenset({event_id} if cancelled else ())
                await asyncio.sleep(0.2)
    finally:
        await engine.dispose()


SCENARIOS: list[tuple[str, Callable[[ScenarioRun, str], Awaitable[None]]]] = [
    # First, because its lease is the longest.
    ("erase.inflight:kill", while_erasing),
    ("publish.before_commit:kill", while_publishing),
    ("publish.after_commit:kill:2", while_publishing),
    ("match.mid_fanout:kill", in_the_matcher),
    ("attempt.after_claim:kill", after_failures),
    ("attempt.before_send:kill:3", while_publishing),
    ("attempt.after_response:kill:3", while_publishing),
    ("settle.before_commit:kill", while_publishing),
    ("settle.after_commit:kill", while_publishing),
    ("resend.after_commit:kill", on_a_resend),
    ("job.mid_batch:kill:2", in_a_job),
]

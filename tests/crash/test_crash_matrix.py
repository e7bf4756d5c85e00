"""
The service is killed at every step of the way of an event, on SQLite and on
PostgreSQL: nothing that was acknowledged is lost, no receiver gets more than the
crash explains, and the log has a row for every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from shipedge.webhooks.dispatch.v1 import delivery_pb2, delivery_service_pb2_grpc
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.rpc import channel
from tests.crash.conftest import Stage
from tests.crash.ledger import Ledger, judge
from tests.crash.stage import Publisher, Replica, all_delivered, read_log, shipped
from tests.databases import free_port, fresh_database

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

EVENTS = 8
BATCH = 4
REQUEST_ID = "0190f3a0-0000-7000-8000-000000000001"


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """
    Yield the URLs of empty databases, one for each scenario.
    """
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield [f"sqlite:///{tmp_path}/crash{at}.db" for at in range(len(SCENARIOS))]
            return
        server = request.getfixturevalue("postgres_url")
        yield [stack.enter_context(fresh_database(server)) for _ in SCENARIOS]


class Play:
    """
    One scenario: an account with a subscription, and a replica of its own.
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
        for at in range(0, EVENTS, BATCH):
            await self.publisher.publish(self.events[at : at + BATCH])

    async def die_while(self, failpoint: str, work: Callable[[], Awaitable[None]]) -> None:
        """
        Let the service die at a failpoint while *work* is done, and start it again.
        """
        await self.replica.start(failpoint)
        doing = asyncio.ensure_future(work())
        await self.replica.died()
        await self.replica.start()
        await doing

    async def end(self) -> None:
        """
        Wait until all is delivered and judge.
        """
        await all_delivered(self.database_url, 60)
        mine = {it.event_id for it in self.events}
        ledger = Ledger(self.publisher.acknowledged)
        ledger.requests = [it for it in self.stage.memory.requests if it.event_id in mine]
        await read_log(self.database_url, ledger)
        verdict = judge(ledger)
        assert verdict.good, verdict
        assert verdict.acknowledged == EVENTS

    def deliveries(self) -> grpc.aio.Channel:
        """
        Connect to the log.
        """
        return channel.connect(self.replica.address)


async def while_publishing(play: Play, failpoint: str) -> None:
    """
    Die at a step between a publish and the end of its deliveries.
    """
    await play.die_while(failpoint, play.publish)
    await play.end()


async def in_the_matcher(play: Play, failpoint: str) -> None:
    """
    Die while events are matched that came before any snapshot.
    """
    nobody = f"127.0.0.1:{free_port()}"
    known = play.replica.environment["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"]
    play.replica.environment["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"] = nobody
    await play.replica.start()
    await play.publish()
    await play.replica.kill()
    play.replica.environment["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"] = known
    await play.die_while(failpoint, lambda: asyncio.sleep(0))
    await play.end()


async def after_failures(play: Play, failpoint: str) -> None:
    """
    Die when the retries of failed attempts have been claimed.
    """
    play.stage.memory.refusals.update({it.event_id: [500] for it in play.events})
    await play.die_while(failpoint, play.publish)
    await play.end()


async def refused(play: Play) -> list[delivery_pb2.Delivery]:
    """
    Publish to a receiver that refuses everything, and wait until all have failed.
    """
    play.stage.memory.refusals.update({it.event_id: [500, 500] for it in play.events})
    await play.replica.start()
    await play.publish()
    async with asyncio.timeout(30), play.deliveries() as connection:
        stub = delivery_service_pb2_grpc.DeliveryServiceStub(connection)
        while True:
            request = pb.ListDeliveriesRequest(
                parent=f"accounts/{play.account}", filter="state = FAILED"
            )
            found = list((await stub.ListDeliveries(request)).deliveries)
            if len(found) == EVENTS:
                await play.replica.kill()
                return found
            await asyncio.sleep(0.1)


async def insist(play: Play, call: Callable[[grpc.aio.Channel], Awaitable[object]]) -> None:
    """
    Repeat a call until it is answered.
    """
    while True:
        async with play.deliveries() as connection:
            try:
                await call(connection)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.2)
            else:
                return


async def on_a_resend(play: Play, failpoint: str) -> None:
    """
    Die after a resend was committed and before it was answered; the call is repeated.
    """
    failed = await refused(play)
    for at, delivery in enumerate(failed):
        request = pb.ResendDeliveryRequest(
            name=delivery.name, request_id=f"{REQUEST_ID[:-2]}{at:02}"
        )

        async def resend(wanted: pb.ResendDeliveryRequest = request) -> None:
            await insist(
                play,
                lambda connection: delivery_service_pb2_grpc.DeliveryServiceStub(
                    connection
                ).ResendDelivery(wanted),
            )

        if at == 0:
            await play.die_while(failpoint, resend)
        else:
            await resend()
    await play.end()


async def in_a_job(play: Play, failpoint: str) -> None:
    """
    Die in the middle of a batch of a resend job, which then goes on by itself.
    """
    await refused(play)
    request = pb.ResendDeliveriesRequest(
        parent=f"accounts/{play.account}", request_id=REQUEST_ID, rate_limit=3
    )
    await play.die_while(
        failpoint,
        lambda: insist(
            play,
            lambda connection: delivery_service_pb2_grpc.DeliveryServiceStub(
                connection
            ).ResendDeliveries(request),
        ),
    )
    await play.end()


SCENARIOS: list[tuple[str, Callable[[Play, str], Awaitable[None]]]] = [
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


@pytest.fixture
async def plays(stage: Stage, databases: list[str]) -> AsyncIterator[list[Play]]:
    """
    Yield a play for each scenario, their subscriptions known to the config service.
    """
    made = [Play(stage, 100 + at, url) for at, url in enumerate(databases)]
    for play in made:
        owner = f"accounts/{play.account}"
        await stage.config.subscribe(
            stage.receiver.url, "orders/shipped", "v2", owner, retry_seconds=(1,)
        )
    yield made
    for replica in stage.replicas:
        await replica.kill()


async def test_nothing_is_lost_wherever_it_dies(plays: list[Play]) -> None:
    """
    Every scenario keeps every promise; they run side by side.
    """
    limit = asyncio.Semaphore(4)

    async def act(play: Play, failpoint: str, scenario: Callable[..., Awaitable[None]]) -> None:
        async with limit:
            try:
                await scenario(play, failpoint)
            except Exception as problem:
                problem.add_note(failpoint)
                raise

    acts = zip(plays, SCENARIOS, strict=True)
    async with asyncio.TaskGroup() as group:
        for play, (failpoint, scenario) in acts:
            group.create_task(act(play, failpoint, scenario))


async def test_payload_that_cannot_be_rendered_fails_alone(
    stage: Stage, databases: list[str]
) -> None:
    """
    A renderer that raises fails its own delivery, not the publish nor its neighbours.
    """
    play = Play(stage, 100, databases[0])
    await stage.config.subscribe(stage.receiver.url, "orders/shipped", "v2", "accounts/100")
    await play.replica.start()
    await ready(play.replica, play)
    await play.replica.kill()
    await play.replica.start("render.fail:raise:3")

    await play.publish()

    async with asyncio.timeout(30), play.deliveries() as connection:
        stub = delivery_service_pb2_grpc.DeliveryServiceStub(connection)
        request = pb.ListDeliveriesRequest(parent="accounts/100", filter="state != SUCCEEDED")
        while len(left := (await stub.ListDeliveries(request)).deliveries) != 1:
            await asyncio.sleep(0.1)
    assert left[0].failure_kind == delivery_pb2.FAILURE_KIND_RENDER
    assert len(play.publisher.acknowledged) == EVENTS + 1


async def ready(replica: Replica, play: Play) -> None:
    """
    Wait until a replica has applied the snapshot: what is published is delivered.
    """
    await Publisher([replica.address], play.publisher.acknowledged).publish(
        [shipped("ready", play.account)]
    )
    await all_delivered(play.database_url, 30)

"""
A webhook that was made a day late: its account replays the day.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from dispatch_service.payloads import example_event
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import subscription_pb2
from shipedge.webhooks.dispatch.v1 import attempt_pb2, delivery_pb2, replay_job_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as admin_pb
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2_grpc as admin_grpc
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.pair import DISPATCH, PATIENCE_SECONDS, Pair, environment_of, running_pair
from tests.support.receivers import Received, Receiver, https_receiver

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
ORDERS = 3
EVENTS_EACH = 3
MISSED = [f"{order}-{number}" for number in range(EVENTS_EACH) for order in range(ORDERS)]
ReplayJob = replay_job_pb2.ReplayJob


class Orders:
    """
    A receiver that refuses the first request about each event, and keeps the headers of all.
    """

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.confirmed: list[str] = []

    async def __call__(self, received: Received) -> None:
        event_id = received.headers["x-shipedge-event-id"]
        self.seen[event_id] += 1
        self.headers.append(received.headers)
        if self.seen[event_id] == 1:
            await received.answer(500)
        else:
            self.confirmed.append(event_id)
            await received.answer(200)


@pytest.fixture
def orders() -> Orders:
    """
    Return the script of the receiver.
    """
    return Orders()


@pytest.fixture
async def receiver(orders: Orders) -> AsyncIterator[Receiver]:
    """
    Yield a receiver with that script.
    """
    async with https_receiver(orders, host="127.0.0.1") as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Pair]:
    """
    Yield both services.
    """
    async with running_pair(environment_of(tmp_path, receiver)) as running:
        yield running


def shipped(event_id: str) -> event_pb2.Event:
    """
    Make an event of an order; its id is the number of the order and that of the event.
    """
    order, _, number = event_id.partition("-")
    event = example_event("orders/shipped")
    event.event_id, event.sequence = event_id, int(number) + 1
    event.order_status_changed.order.id = int(order) + 1
    return event


async def let_a_day_pass(path: Path) -> None:
    """
    Let all events be a day older: events of the last moments before a webhook was made may be
    matched with it, since the clocks of both services differ.

    Events that were accepted before the first snapshot are matched with all webhooks that this
    one names, however old they are; so it is waited for.
    """
    waiting = "SELECT count(*) FROM events WHERE match_state = 'PENDING_MATCH'"
    with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as db, db:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while db.execute(waiting).fetchone() != (0,):
                await asyncio.sleep(0.05)
        for table in ("event_keys", "events"):
            db.execute(f"UPDATE {table} SET accept_time = accept_time - 86400000000")  # noqa: S608


async def late_webhook(pair: Pair, receiver: Receiver) -> subscription_pb2.Subscription:
    """
    Publish events, let a day pass, and make an ordered webhook, which gets one event more.
    """
    for event_id in MISSED:
        await pair.publish(shipped(event_id))
    await let_a_day_pass(Path(pair.environment["SHIPEDGE_DATA_DIR"]) / "dispatch.db")
    made = await pair.subscribe(
        receiver.url, "orders/shipped", "v2", ordered=True, retry_seconds=[1, 1, 1, 1]
    )
    await pair.known(made.name)
    await pair.publish(shipped("9-0"))
    return made


async def ended(pair: Pair, job: ReplayJob) -> ReplayJob:
    """
    Wait until a job has ended.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await pair.deliveries.GetReplayJob(pb.GetReplayJobRequest(name=job.name))
            if found.state != ReplayJob.STATE_RUNNING:
                return found
            await asyncio.sleep(0.05)


async def all_succeeded(pair: Pair, count: int) -> list[delivery_pb2.Delivery]:
    """
    Wait until there are *count* deliveries, and all have succeeded.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await pair.log_of()
            states = {it.state for it in found}
            if len(found) == count and states == {delivery_pb2.Delivery.STATE_SUCCEEDED}:
                return found
            await asyncio.sleep(0.05)


async def test_day_is_replayed(pair: Pair, receiver: Receiver, orders: Orders) -> None:
    """
    Exactly the missing events arrive, once confirmed, in the order of each resource, and marked on
    every request; a second replay sends nothing.
    """
    webhook = await late_webhook(pair, receiver)
    await all_succeeded(pair, 1)
    request = pb.ReplayEventsRequest(subscription=webhook.name, validate_only=True)
    counted = await pair.deliveries.ReplayEvents(request)
    assert (counted.total_count, counted.name) == (len(MISSED), "")
    assert counted.state == ReplayJob.STATE_VALIDATED
    assert len(await pair.log_of()) == 1

    request = pb.ReplayEventsRequest(
        subscription=webhook.name, request_id="0190f3a0-0000-7000-8000-000000000000"
    )
    job = await pair.deliveries.ReplayEvents(request)
    assert (await pair.deliveries.ReplayEvents(request)).name == job.name
    done = await ended(pair, job)

    numbers = (done.total_count, done.succeeded_count, done.failed_count, done.skipped_count)
    assert (done.state, numbers) == (ReplayJob.STATE_SUCCEEDED, (10, 9, 0, 1))
    found = await all_succeeded(pair, len(MISSED) + 1)
    assert Counter(it.replay for it in found) == {True: len(MISSED), False: 1}
    assert Counter(orders.confirmed) == Counter([*MISSED, "9-0"])
    for order in range(ORDERS):
        mine = [it for it in orders.confirmed if it.startswith(f"{order}-")]
        assert mine == [it for it in MISSED if it.startswith(f"{order}-")]
    assert {it["x-shipedge-event-id"] for it in orders.headers if "x-shipedge-replay" in it} == {
        *MISSED
    }
    assert Counter(it.get("x-shipedge-replay") for it in orders.headers) == {"true": 18, None: 2}
    replays = await pair.attempts(where="trigger = REPLAY")
    assert len(replays) == len(MISSED)
    assert {it.trigger for it in replays} == {attempt_pb2.Attempt.TRIGGER_REPLAY}

    second = await ended(
        pair, await pair.deliveries.ReplayEvents(pb.ReplayEventsRequest(subscription=webhook.name))
    )

    assert (second.succeeded_count, second.skipped_count) == (0, 10)
    assert len(await pair.log_of()) == len(MISSED) + 1
    for parent in (OWNER, "accounts/-"):
        listed = await pair.deliveries.ListReplayJobs(pb.ListReplayJobsRequest(parent=parent))
        assert [it.name for it in listed.replay_jobs] == [second.name, job.name]


async def test_refusals(pair: Pair, receiver: Receiver) -> None:
    """
    What cannot be replayed is refused with its reason, and the audit log has what was asked for.
    """
    webhook = await late_webhook(pair, receiver)
    job = await ended(
        pair,
        await pair.deliveries.ReplayEvents(
            pb.ReplayEventsRequest(
                subscription=webhook.name, names=[f"{OWNER}/events/0-0"], rate_limit=10
            )
        ),
    )
    assert (job.succeeded_count, list(job.events)) == (1, [f"{OWNER}/events/0-0"]), job
    admin = admin_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
    entries = await admin.ListAuditEntries(admin_pb.ListAuditEntriesRequest(parent=OWNER))
    assert [it.method for it in entries.audit_entries] == ["ReplayEvents"]

    async def reason(request: pb.ReplayEventsRequest) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await pair.deliveries.ReplayEvents(request)
        return read_error(raised.value).reason

    asked = pb.ReplayEventsRequest
    unknown = f"{OWNER}/subscriptions/sub_none"
    assert await reason(asked(subscription=unknown)) == "SUBSCRIPTION_NOT_FOUND"
    assert await reason(asked(subscription=webhook.name, kinds=["x"])) == "FIELD_INVALID"
    named = asked(subscription=webhook.name, names=[f"{OWNER}/events/none"])
    assert await reason(named) == "EVENT_NOT_FOUND"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pair.deliveries.CancelReplayJob(pb.CancelReplayJobRequest(name=job.name))
    assert read_error(raised.value).reason == "REPLAY_JOB_ENDED"
    none = f"{OWNER}/replayJobs/rpj_{'0' * 32}"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pair.deliveries.GetReplayJob(pb.GetReplayJobRequest(name=none))
    assert read_error(raised.value).reason == "REPLAY_JOB_NOT_FOUND"
    await pair.set_status(webhook.name, subscription_pb2.Subscription.STATUS_INACTIVE)
    assert await reason(asked(subscription=webhook.name)) == "SUBSCRIPTION_INACTIVE"

"""
Guarantees of both services together: public API in, HTTPS requests out.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from pathlib import Path

import pytest

from dispatch_service.payloads import example_event
from service_runtime.rpc.status import read_status
from shipedge.webhooks.dispatch.v1 import (
    delivery_pb2,
    payload_service_pb2,
    payload_service_pb2_grpc,
)
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.pair import (
    CONFIG,
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    Subscription,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Receiver

pytestmark = pytest.mark.anyio

Delivery = delivery_pb2.Delivery
Reason = payload_service_pb2.Explanation.Reason


def shipped(event_id: str, account: int = 100, *warehouses: str) -> event_pb2.Event:
    """
    Make the documented shipped order under another id.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = event_id, account
    event.warehouses[:] = warehouses
    return event


def bodies_of(receiver: Receiver, event_id: str) -> list[bytes]:
    """
    Return the bodies that the receiver got for an event.
    """
    return [
        request.body
        for request in receiver.requests
        if request.headers["x-shipedge-event-id"] == event_id
    ]


async def receives(receiver: Receiver, event_id: str, count: int = 1) -> list[bytes]:
    """
    Wait until the receiver has *count* bodies of an event.
    """
    await eventually(lambda: len(bodies_of(receiver, event_id)) >= count)
    return bodies_of(receiver, event_id)


async def known(pair: Pair, receiver: Receiver, event_id: str, *args: str | int) -> None:
    """
    Publish events until one arrives: the dispatch service knows the subscription.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        for attempt in itertools.count():
            await pair.publish(shipped(f"{event_id}-{attempt}", *args))  # type: ignore[arg-type]
            await asyncio.sleep(0.1)
            if receiver.requests:
                return


async def decided(pair: Pair, name: str, reason: Reason.ValueType) -> None:
    """
    Publish events until one has no delivery for *reason*, or has one if that is unspecified: the
    dispatch service knows the latest change.

    Deliveries of earlier events may be suspended if the subscription is Inactive.
    """
    stub = payload_service_pb2_grpc.PayloadServiceStub(pair.channels[DISPATCH])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            event_id = uuid.uuid4().hex
            await pair.publish(shipped(event_id))
            request = payload_service_pb2.ExplainEventRequest(
                name=f"accounts/100/events/{event_id}", subscription=name
            )
            (found,) = (await stub.ExplainEvent(request)).explanations
            deleted = payload_service_pb2.Explanation.VERDICT_DELETED
            if found.reason == reason and found.verdict != deleted:
                return
            await asyncio.sleep(0.02)


async def settled(pair: Pair, *wanted: Delivery.State.ValueType) -> list[Delivery]:
    """
    Wait until all deliveries of account 100 are in one of the states.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await pair.log_of()
            if found and all(it.state in wanted for it in found):
                return found
            await asyncio.sleep(0.05)


async def test_events_are_delivered_without_the_config_service(
    pair: Pair, receiver: Receiver
) -> None:
    """
    Without the config service events are delivered, even after a restart of the dispatch service.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await known(pair, receiver, "before")

    assert await pair.stop(CONFIG) == 0
    await pair.publish(shipped("without-config"))
    assert await receives(receiver, "without-config")

    assert await pair.stop(DISPATCH) == 0
    await pair.start(DISPATCH)
    await pair.publish(shipped("restarted"))
    assert await receives(receiver, "restarted")


async def test_events_before_the_first_snapshot_are_delivered(
    tmp_path: Path, receiver: Receiver
) -> None:
    """
    Events that a dispatch service accepts before its first snapshot are delivered after it.
    """
    environment = environment_of(tmp_path, receiver)
    async with running_pair(environment) as pair:
        await pair.stop(DISPATCH)
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await pair.stop(CONFIG)
        for name in (tmp_path / "data").glob("dispatch.db*"):
            name.unlink()

        await pair.start(DISPATCH)
        (result,) = await pair.publish(shipped("early"))
        await pair.start(CONFIG)

        assert result.accepted.name == "accounts/100/events/early"
        assert len(await receives(receiver, "early")) == 1


async def test_warehouse_receives_orders_of_all_accounts(pair: Pair, receiver: Receiver) -> None:
    """
    A warehouse gets the events of all accounts in it; the body names the account.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v1", owner="warehouses/east")
    await known(pair, receiver, "first", 7, "east")

    await pair.publish(shipped("of-100", 100, "east"), shipped("of-200", 200, "west", "east"))
    await pair.publish(shipped("elsewhere", 100, "west"), shipped("last", 100, "east"))

    (of_100,) = await receives(receiver, "of-100")
    (of_200,) = await receives(receiver, "of-200")
    assert b'"account_id":100' in of_100
    assert b'"account_id":200' in of_200
    await receives(receiver, "last")
    assert bodies_of(receiver, "elsewhere") == []


async def test_inactive_subscription_receives_nothing(pair: Pair, receiver: Receiver) -> None:
    """
    An Inactive subscription gets no events; an Active one does.
    """
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await pair.known(made.name)
    await pair.publish(shipped("active"))
    assert await receives(receiver, "active")

    await pair.set_status(made.name, Subscription.STATUS_INACTIVE)
    await decided(pair, made.name, Reason.REASON_INACTIVE)
    await pair.publish(shipped("inactive"))
    await pair.set_status(made.name, Subscription.STATUS_ACTIVE)
    await decided(pair, made.name, Reason.REASON_UNSPECIFIED)
    await pair.publish(shipped("active-again"))

    assert await receives(receiver, "active-again")
    assert bodies_of(receiver, "inactive") == []


async def test_same_event_twice_is_delivered_once(pair: Pair, receiver: Receiver) -> None:
    """
    A repeated event gets the first answer; other content under its id is refused.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await known(pair, receiver, "before")
    changed = shipped("twice")
    changed.order_status_changed.order.number = "ORD-002"

    first = await pair.publish(shipped("twice"), shipped("twice"))
    again = await pair.publish(shipped("twice"))
    (refused,) = await pair.publish(changed)

    assert first[0] == first[1] == again[0]
    detail = read_status(refused.error)
    assert (detail.code, detail.reason) == ("ALREADY_EXISTS", "EVENT_ID_REUSED")
    await pair.publish(shipped("after"))
    await receives(receiver, "after")
    assert len(bodies_of(receiver, "twice")) == 1


async def test_invalid_event_fails_alone(pair: Pair, receiver: Receiver) -> None:
    """
    Each event of a batch has its own result; an error names the path of the field.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await known(pair, receiver, "before")
    bad = shipped("bad")
    bad.order_status_changed.order.items[0].quantity = -1

    results = await pair.publish(shipped("left"), bad, shipped("right"))

    detail = read_status(results[1].error)
    assert (detail.code, detail.reason) == ("INVALID_ARGUMENT", "EVENT_INVALID")
    assert detail.faults[0].field == "order_status_changed.order.items[0].quantity"
    assert await receives(receiver, "left")
    assert await receives(receiver, "right")

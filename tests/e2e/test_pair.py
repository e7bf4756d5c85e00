"""
The promises of the pair, from outside: public API in, HTTPS requests out.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.dispatch.v1 import delivery_pb2, delivery_service_pb2
from shipedge.webhooks.events.v1 import event_pb2
from shipedge.webhooks.rpc.status import read_status
from tests.e2e.pair import (
    CONFIG,
    DISPATCH,
    Pair,
    Subscription,
    environment_of,
    eventually,
    running_pair,
)
from tests.integration.receivers import Received, Receiver, Script, answering, https_receiver

pytestmark = pytest.mark.anyio

Delivery = delivery_pb2.Delivery


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
    Return the bodies that came of an event.
    """
    return [it.body for it in receiver.requests if it.headers["x-shipedge-event-id"] == event_id]


async def receives(receiver: Receiver, event_id: str, count: int = 1) -> list[bytes]:
    """
    Wait until *count* bodies of an event came.
    """
    await eventually(lambda: len(bodies_of(receiver, event_id)) >= count)
    return bodies_of(receiver, event_id)


async def known(pair: Pair, receiver: Receiver, event_id: str, *args: str | int) -> None:
    """
    Publish events until one arrives: the subscription has reached the dispatch service.
    """
    for attempt in range(50):
        await pair.publish(shipped(f"{event_id}-{attempt}", *args))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        if receiver.requests:
            return
    raise TimeoutError("no event arrived")


async def settled(pair: Pair, *wanted: Delivery.State.ValueType) -> list[Delivery]:
    """
    Wait until all deliveries of account 100 are in one of the states.
    """
    async with asyncio.timeout(30):
        while True:
            found = await pair.log_of()
            if found and all(it.state in wanted for it in found):
                return found
            await asyncio.sleep(0.05)


async def test_publishing_goes_on_without_the_config_service(
    pair: Pair, receiver: Receiver
) -> None:
    """
    The config service down changes nothing, not even for a dispatch service that starts.
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


async def test_events_before_the_first_snapshot_are_matched_when_it_comes(
    tmp_path: Path, receiver: Receiver
) -> None:
    """
    A dispatch service that never had a snapshot accepts events and loses none.
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
    A warehouse sees what happens in it, whatever the account; the body says whose it is.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v1", owner="warehouses/wh1")
    await known(pair, receiver, "first", 7, "wh1")

    await pair.publish(shipped("of-100", 100, "wh1"), shipped("of-200", 200, "wh2", "wh1"))
    await pair.publish(shipped("elsewhere", 100, "wh2"), shipped("last", 100, "wh1"))

    (of_100,) = await receives(receiver, "of-100")
    (of_200,) = await receives(receiver, "of-200")
    assert b'"account_id":100' in of_100
    assert b'"account_id":200' in of_200
    await receives(receiver, "last")
    assert bodies_of(receiver, "elsewhere") == []


async def test_inactive_subscription_receives_nothing_more(pair: Pair, receiver: Receiver) -> None:
    """
    A subscription receives events a second after it was saved as Active, and none once Inactive.
    """
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await asyncio.sleep(1)
    await pair.publish(shipped("active"))
    assert await receives(receiver, "active")

    await pair.set_status(made.name, Subscription.STATUS_INACTIVE)
    await asyncio.sleep(1)
    await pair.publish(shipped("inactive"))
    await pair.set_status(made.name, Subscription.STATUS_ACTIVE)
    await asyncio.sleep(1)
    await pair.publish(shipped("active-again"))

    assert await receives(receiver, "active-again")
    assert bodies_of(receiver, "inactive") == []


async def test_same_event_twice_is_delivered_once(pair: Pair, receiver: Receiver) -> None:
    """
    Publishing again gives the first answer; other content under the id is refused.
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


async def test_bad_event_fails_none_of_its_neighbours(pair: Pair, receiver: Receiver) -> None:
    """
    Each event of a batch is answered by itself, with the path of what is wrong.
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


def failing_first(times: int) -> Script:
    """
    Make a script that answers 500 a number of times, then 200.
    """
    seen = [0]

    async def script(received: Received) -> None:
        seen[0] += 1
        await received.answer(500 if seen[0] <= times else 200, b"answer")

    return script


async def test_failed_attempt_is_repeated_with_the_same_bytes(tmp_path: Path) -> None:
    """
    A retry has the id and the bytes of the first attempt; the log shows both.
    """
    async with https_receiver(failing_first(1), host="127.0.0.1") as receiver:
        async with running_pair(environment_of(tmp_path, receiver)) as pair:
            made = await pair.subscribe(receiver.url, "orders/shipped", "v3")
            await asyncio.sleep(1)
            await pair.publish(shipped("retried"))
            await settled(pair, Delivery.STATE_SUCCEEDED)

            first, second = receiver.requests
            assert first.body == second.body
            assert first.headers["webhook-id"] == second.headers["webhook-id"]
            assert [it.headers["x-shipedge-attempt"] for it in receiver.requests] == ["1", "2"]
            log = await pair.attempts()
            assert [it.response_code for it in log] == [200, 500]
            where = (
                'start_time >= "2026-01-01T00:00:00Z" AND event_type = "orders/shipped"'
                f' AND status = FAILURE AND url = "{receiver.url}"'
            )
            (failure,) = await pair.attempts(where=where)
            assert failure.number == 1
            assert failure.subscription == made.name
            assert await pair.attempts(where='url = "https://127.0.0.1/other"') == []


async def test_resend_after_a_restart_sends_the_stored_bytes(tmp_path: Path) -> None:
    """
    A delivery that failed for good can be sent again, also by another process.
    """
    async with https_receiver(answering(500), host="127.0.0.1") as gone:
        environment = environment_of(tmp_path, gone)
        async with running_pair(environment) as pair:
            await pair.subscribe(gone.url, "orders/shipped", "v2", retry_seconds=[1])
            await asyncio.sleep(1)
            await pair.publish(shipped("resent"))
            (failed,) = await settled(pair, Delivery.STATE_FAILED)
            await pair.kill(DISPATCH)
            await pair.start(DISPATCH)

            request = delivery_service_pb2.ResendDeliveryRequest(name=failed.name)
            again = await pair.deliveries.ResendDelivery(request)
            assert again.state == Delivery.STATE_PENDING
            await eventually(lambda: len(gone.requests) == 3)

            first, _, third = gone.requests
            assert first.body == third.body
            assert first.headers["webhook-id"] == third.headers["webhook-id"]
            (delivery,) = await settled(pair, Delivery.STATE_FAILED)
            assert delivery.attempt_count >= 3


async def test_receiver_that_hangs_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    """
    An attempt ends at its deadline as a timeout.
    """

    async def silent(_received: Received) -> None:
        await asyncio.sleep(60)

    async with https_receiver(silent, host="127.0.0.1") as receiver:
        environment = environment_of(tmp_path, receiver, SHIPEDGE_DISPATCH_DEADLINE="1s")
        async with running_pair(environment) as pair:
            await pair.subscribe(receiver.url, "orders/shipped", "v2")
            await asyncio.sleep(1)
            await pair.publish(shipped("hanging"))
            async with asyncio.timeout(20):
                while not (log := await pair.attempts()):
                    await asyncio.sleep(0.1)

            assert log[0].failure_kind == delivery_pb2.FAILURE_KIND_TIMEOUT
            assert log[0].duration.ToTimedelta().total_seconds() < 1.5


async def test_pending_deliveries_survive_a_kill(tmp_path: Path) -> None:
    """
    What was accepted is delivered although the process that accepted it was killed.
    """
    async with https_receiver(failing_first(1), host="127.0.0.1") as receiver:
        async with running_pair(environment_of(tmp_path, receiver)) as pair:
            await pair.subscribe(receiver.url, "orders/shipped", "v2")
            await asyncio.sleep(1)
            await pair.publish(shipped("killed"))
            await settled(pair, Delivery.STATE_PENDING)
            await pair.kill(DISPATCH)
            await pair.start(DISPATCH)

            (delivery,) = await settled(pair, Delivery.STATE_SUCCEEDED)
            assert delivery.attempt_count == 2

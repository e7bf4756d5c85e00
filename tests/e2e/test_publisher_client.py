"""
The client's publisher while the dispatch service is killed, and its server for tests.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.client.async_publisher import AsyncPublisher
from shipedge.webhooks.client.channel import connect_blocking
from shipedge.webhooks.client.errors import ApiError, error_of_call
from shipedge.webhooks.client.event_queue import BatchLimits
from shipedge.webhooks.client.pages import all_items
from shipedge.webhooks.client.publisher import Publisher
from shipedge.webhooks.client.test_server import TestServer
from shipedge.webhooks.config.v1 import config_service_pb2, config_service_pb2_grpc
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.pair import DISPATCH, Pair, eventually
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(240)]

KILLS = 4
EVENTS_BETWEEN = 300
ORDERS = 20


def shipped(number: int) -> event_pb2.Event:
    """
    Make an event of one of the orders.
    """
    event = example_event("orders/shipped")
    event.event_id = f"event-{number:05}"
    event.order_status_changed.order.id = 1 + number % ORDERS
    return event


def arrived(receiver: Receiver) -> list[str]:
    """
    Return the ids of the events that the receiver got, in the order of their arrival.
    """
    return [it.headers["x-shipedge-event-id"] for it in receiver.requests]


@pytest.mark.anyio
async def test_nothing_is_lost_when_the_service_is_killed(pair: Pair, receiver: Receiver) -> None:
    """
    Every event has an answer and is delivered, in order for each order, and the memory stays
    within its limit.
    """
    subscription = await pair.subscribe(receiver.url, "orders/shipped", "v2", ordered=True)
    await pair.known(subscription.name)
    memory, most = 64 * 1024, 0
    inner = Publisher(pair.address(DISPATCH), memory_bytes=memory, limits=BatchLimits(events=20))

    async def publish() -> list[asyncio.Future[pb.AcceptedEvent]]:
        nonlocal most
        answers: list[asyncio.Future[pb.AcceptedEvent]] = []
        for number in range(KILLS * EVENTS_BETWEEN):
            answers.append(await publisher.publish(shipped(number)))
            most = max(most, inner.waiting_bytes)
        return answers

    async with AsyncPublisher(inner) as publisher:
        publishing = asyncio.create_task(publish())
        for _ in range(KILLS):
            await pair.kill(DISPATCH)
            await pair.start(DISPATCH)
            await asyncio.sleep(0.05)
        answers = await publishing
        await publisher.flush(60)
        names = [answer.result().name for answer in answers]

    wanted = [f"event-{number:05}" for number in range(KILLS * EVENTS_BETWEEN)]
    assert [name.rpartition("/")[2] for name in names] == wanted
    assert most <= memory
    await eventually(lambda: set(wanted) <= set(arrived(receiver)))
    for order in range(ORDERS):
        first_times = dict.fromkeys(it for it in arrived(receiver) if int(it[6:]) % ORDERS == order)
        assert list(first_times) == wanted[order::ORDERS]


def test_server_for_tests() -> None:
    """
    Both services run, take events and answer lists, and are gone at the end with their data.
    """
    with TestServer() as server:
        folder = server._folder
        assert folder is not None
        with Publisher(server.dispatch_address) as publisher:
            bad = shipped(2)
            bad.order_status_changed.order.id = 0
            good, refused = publisher.publish(shipped(1)), publisher.publish(bad)
            assert good.result(30).name.endswith("/event-00001")
            with pytest.raises(ApiError) as error:
                refused.result(30)
        assert error.value.reason == "EVENT_INVALID"
        assert [it.field for it in error.value.violations] == ["order_status_changed.order.id"]

        with connect_blocking(server.config_address) as channel:
            stub = config_service_pb2_grpc.ConfigServiceStub(channel)
            listed = config_service_pb2.ListEventTypesRequest(page_size=7)
            types = [it.type for it in all_items(stub.ListEventTypes, listed)]
            with pytest.raises(grpc.RpcError) as missing:
                stub.GetSubscription(
                    config_service_pb2.GetSubscriptionRequest(
                        name="accounts/100/subscriptions/sub_missing"
                    )
                )
        assert len(types) == len(set(types)) > 7
        assert error_of_call(missing.value).reason == "SUBSCRIPTION_NOT_FOUND"
    assert not Path(folder.name).exists()

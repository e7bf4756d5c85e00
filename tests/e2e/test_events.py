"""
Events as people look for them: by their order, and with what became of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from dispatch_service.payloads import example_event
from service_runtime.rpc.status import read_error
from shipedge.webhooks.dispatch.v1 import (
    accepted_event_pb2,
    delivery_pb2,
    dispatch_admin_service_pb2,
    dispatch_admin_service_pb2_grpc,
)
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.pair import DISPATCH, PATIENCE_SECONDS, Pair, environment_of, running_pair
from tests.support.receivers import Received, Receiver, https_receiver

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
SUCCEEDED = delivery_pb2.Delivery.STATE_SUCCEEDED


async def confirm(received: Received) -> None:
    """
    Confirm a request.
    """
    await received.answer(200)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """
    Yield a receiver that confirms everything.
    """
    async with https_receiver(confirm, host="127.0.0.1") as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Pair]:
    """
    Yield both services with a subscription to that receiver.
    """
    async with running_pair(environment_of(tmp_path, receiver)) as running:
        made = await running.subscribe(receiver.url, "orders/shipped", "v2")
        await running.known(made.name)
        yield running


def numbered(event_type: str, event_id: str, number: str) -> event_pb2.Event:
    """
    Make the documented event about an order with a number.
    """
    event = example_event(event_type)
    event.event_id = event_id
    getattr(event, event.WhichOneof("payload") or "").order.number = number
    return event


async def listed(pair: Pair, source: str, parent: str = OWNER) -> list[accepted_event_pb2.Event]:
    """
    List events.
    """
    request = pb.ListEventsRequest(parent=parent, filter=source)
    return list((await pair.deliveries.ListEvents(request)).events)


async def succeeded(pair: Pair, count: int) -> None:
    """
    Wait until *count* deliveries have succeeded.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while [it.state for it in await pair.log_of()] != [SUCCEEDED] * count:
            await asyncio.sleep(0.05)


async def test_event_is_found_by_its_order_number(pair: Pair) -> None:
    """
    Support finds the events of an order over all accounts, with event types and deliveries, and
    sees the content of one; reading it is in the audit log. After an erasure the number finds
    nothing.
    """
    shipped = numbered("orders/shipped", "shipped", "SO-1")
    await pair.publish(shipped, numbered("orders/refund", "refund", "so-1"))
    await pair.publish(numbered("orders/shipped", "other", "SO-2"))
    await succeeded(pair, 2)
    found = await listed(pair, "order_number = so-1", "accounts/-")
    whole = await pair.deliveries.GetEvent(pb.GetEventRequest(name=f"{OWNER}/events/shipped"))
    unwanted = await listed(pair, "has_deliveries = false AND kind = order_refunded")

    by_name = {it.name.rpartition("/")[2]: it for it in found}
    assert set(by_name) == {"shipped", "refund"}
    assert "orders/shipped" in by_name["shipped"].event_types
    counts = by_name["shipped"].delivery_counts
    assert [(it.state, it.count) for it in counts] == [(SUCCEEDED, 1)]
    assert not by_name["shipped"].HasField("content")
    assert whole.content == shipped
    assert [it.name for it in unwanted] == [f"{OWNER}/events/refund"]
    await check_audited_and_erased(pair, whole)


async def check_audited_and_erased(pair: Pair, whole: accepted_event_pb2.Event) -> None:
    """
    Check that reading was recorded, and what an erasure leaves.
    """
    admin = dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
    everything = dispatch_admin_service_pb2.ListAuditEntriesRequest(parent="-")
    entries = await admin.ListAuditEntries(everything)
    assert [it.resource for it in entries.audit_entries if it.method == "GetEvent"] == [whole.name]
    await admin.EraseCustomerData(
        dispatch_admin_service_pb2.EraseCustomerDataRequest(parent=OWNER, event_id="shipped")
    )
    after = await pair.deliveries.GetEvent(pb.GetEventRequest(name=whole.name))
    assert (after.content_erased, after.HasField("content")) == (True, False)
    assert list(after.event_types) == ["orders/shipped"]
    left = await listed(pair, "order_number = SO-1")
    assert [it.name for it in left] == [f"{OWNER}/events/refund"]


async def test_events_that_are_refused(pair: Pair) -> None:
    """
    An unknown event is not found; a list over all accounts, or of a warehouse, says what it needs.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pair.deliveries.GetEvent(pb.GetEventRequest(name=f"{OWNER}/events/none"))
    assert read_error(raised.value).reason == "EVENT_NOT_FOUND"
    for parent in ("accounts/-", "warehouses/w1", "warehouses/-"):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await listed(pair, "", parent)
        assert read_error(raised.value).reason == "FIELD_INVALID"

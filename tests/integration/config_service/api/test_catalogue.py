"""
Event types and egress ranges over the wire.
"""

from __future__ import annotations

import pytest

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import error

pytestmark = pytest.mark.anyio


async def test_catalogue(running: Running) -> None:
    """
    The event types are listed in pages and found by name.
    """
    request = pb.ListEventTypesRequest(page_size=30)
    first = await running.config.ListEventTypes(request)
    request.page_token = first.next_page_token
    second = await running.config.ListEventTypes(request)
    assert (len(first.event_types), len(second.event_types)) == (30, 7)

    got = await running.config.GetEventType(
        pb.GetEventTypeRequest(name="eventTypes/orders/shipped_by_store")
    )
    assert got.title == "Order shipped by store"
    assert [it.topic for it in got.payload_versions][1] == "orders/shipped_by_store_v2"
    missing = await error(
        running.config.GetEventType(pb.GetEventTypeRequest(name="eventTypes/orders/lost"))
    )
    assert missing.reason == "EVENT_TYPE_NOT_FOUND"


async def test_egress_ranges(running: Running) -> None:
    """
    Customers are told where deliveries come from.
    """
    answer = await running.config.GetEgressRanges(pb.GetEgressRangesRequest())

    assert list(answer.ranges) == ["203.0.113.0/28"]

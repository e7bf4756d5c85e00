"""
Batches of events before they are decoded.
"""

from __future__ import annotations

import pytest

from dispatch_service.api.batches import MOST_EVENTS, MOST_MESSAGES, PUBLISHING
from dispatch_service.domain.errors import BatchInvalid, BatchTooDeep, BatchTooLarge
from dispatch_service.payloads import example_event
from service_runtime.rpc.errors import InvalidArgument
from shipedge.webhooks.client.channel import MESSAGE_BYTES
from shipedge.webhooks.dispatch.v1.publisher_service_pb2 import (
    PublishEventsRequest,
    StreamEventsRequest,
)
from shipedge.webhooks.events.v1.event_pb2 import Event

REQUESTS: dict[str, type[PublishEventsRequest | StreamEventsRequest]] = {
    path: StreamEventsRequest if path.endswith("StreamEvents") else PublishEventsRequest
    for path in PUBLISHING
}
SHIPPED = example_event("orders/shipped")


def nested(items: int) -> list[Event]:
    """
    Make ten events whose orders have *items* empty items together.
    """
    event = Event(account_id=100, event_id="e1")
    for _ in range(items // 10):
        event.order_status_changed.order.items.add()
    return [event] * 10


@pytest.mark.parametrize("path", sorted(PUBLISHING))
@pytest.mark.parametrize(
    "events",
    [[], [SHIPPED] * MOST_EVENTS, [Event(event_id="x" * 100_000)] * 40, nested(190_000)],
    ids=["none", "many", "large", "deep"],
)
def test_batch_is_decoded(path: str, events: list[Event]) -> None:
    """
    Whatever a publisher sends in earnest is decoded; its content is judged later.
    """
    PUBLISHING[path](REQUESTS[path](events=events).SerializeToString())


@pytest.mark.parametrize("path", sorted(PUBLISHING))
@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([Event()] * (MOST_EVENTS + 1), BatchInvalid),
        ([Event(event_id="x" * MESSAGE_BYTES)], BatchTooLarge),
        (nested(MOST_MESSAGES * 2), BatchTooDeep),
    ],
    ids=["many", "large", "deep"],
)
def test_batch_is_refused_before_it_is_decoded(
    path: str, events: list[Event], error: type[InvalidArgument]
) -> None:
    """
    Too many events, too many bytes, and too many messages within the events are refused.
    """
    with pytest.raises(error) as raised:
        PUBLISHING[path](REQUESTS[path](events=events).SerializeToString())
    assert raised.value.reason == "BATCH_INVALID"

"""
Messages within messages, counted before they are decoded.
"""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import ListValue

from service_runtime.rpc.gate.nested_messages import message_count, message_fields
from shipedge.webhooks.dispatch.v1.publisher_service_pb2 import PublishEventsRequest
from shipedge.webhooks.events.v1.event_pb2 import Event

FIELDS = message_fields(PublishEventsRequest.DESCRIPTOR)
LISTS = message_fields(ListValue.DESCRIPTOR)


def batch(items: int) -> bytes:
    """
    Serialise a batch of one event whose order has empty items.
    """
    event = Event(account_id=100, event_id="e1")
    for _ in range(items):
        event.order_status_changed.order.items.add()
    return PublishEventsRequest(events=[event]).SerializeToString()


@pytest.mark.parametrize("items", [0, 1, 7])
def test_messages_are_counted_at_any_depth(items: int) -> None:
    """
    The event, what happened, its order and the items of it count.
    """
    assert message_count(batch(items), FIELDS, 100) == (3 + items if items else 1)


def test_counting_ends_beyond_the_limit() -> None:
    """
    Of more messages than the limit one more is counted.
    """
    assert message_count(batch(50), FIELDS, 10) == 11


def test_message_that_holds_itself() -> None:
    """
    Depth is no limit, and needs no recursion.
    """
    at = deep = ListValue()
    for _ in range(40):
        at = at.values.add().list_value
    at.values.add()
    assert message_count(deep.SerializeToString(), LISTS, 1000) == 81


@pytest.mark.parametrize(
    "raw", [b"\x0a", b"\x0a\x05ab", b"\x0a\x02\x0a\x7f", b"\xff" * 12, b"\x0b"]
)
def test_bytes_that_are_no_message(raw: bytes) -> None:
    """
    What ends too early, and groups, are no messages.
    """
    with pytest.raises(ValueError, match=r"group|within"):
        message_count(raw, FIELDS, 100)


def test_long_tags_and_lengths() -> None:
    """
    Numbers longer than they need to be are read as decoders read them.
    """
    assert message_count(b"\x8a\x00\x80\x00" * 3, FIELDS, 100) == 3

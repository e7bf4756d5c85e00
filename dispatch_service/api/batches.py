"""
Batches of events before they are decoded: how many events they have, how large they are, and
how many messages their events hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from dispatch_service.domain.errors import BatchInvalid, BatchTooDeep, BatchTooLarge
from service_runtime.rpc.gate.messages import MessageMalformed, element_count
from service_runtime.rpc.gate.method import CheckBytes
from service_runtime.rpc.gate.nested_messages import (
    MessageFields,
    message_count,
    message_fields,
)
from shipedge.webhooks.client.channel import MESSAGE_BYTES
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb

MOST_EVENTS = 500
"""
The most events in a batch, as the contract says.
"""

MOST_MESSAGES = 200_000
"""
The most messages in a batch, at any depth: 400 for each of its events. They take about 25 MiB.
"""

# Smaller batches are not looked through: what they can hold takes less memory than that.
_LOOKED_THROUGH_BYTES = 512 * 1024

# An event takes at least two bytes, its tag and its length: less cannot be too many.
_BYTES_OF_MOST_EVENTS = 2 * MOST_EVENTS

# All events, one event more, and the other field of a batch.
_MOST_FIELDS = MOST_EVENTS + 2


def check_batch(raw: bytes, path: str, field: int, fields: MessageFields) -> None:
    """
    Check a message of the method *path* whose events are in *field*, and whose *fields* hold
    messages. An empty message takes two bytes on the wire and a hundred in memory, so they are
    counted before they are decoded.

    Raises `BatchInvalid`, `BatchTooDeep`, `BatchTooLarge`, `MessageMalformed`.
    """
    if len(raw) > MESSAGE_BYTES:
        raise BatchTooLarge(len(raw), MESSAGE_BYTES)
    if len(raw) <= _BYTES_OF_MOST_EVENTS:
        return
    try:
        count, whole = element_count(raw, field, _MOST_FIELDS)
        if count > MOST_EVENTS or not whole:
            raise BatchInvalid(max(count, MOST_EVENTS + 1), MOST_EVENTS)
        if len(raw) > _LOOKED_THROUGH_BYTES:
            _check_depth(raw, fields)
    except ValueError:
        raise MessageMalformed(path) from None


def _check_depth(raw: bytes, fields: MessageFields) -> None:
    if message_count(raw, fields, MOST_MESSAGES) > MOST_MESSAGES:
        raise BatchTooDeep(MOST_MESSAGES)


def _publishing() -> Iterator[tuple[str, CheckBytes]]:
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            request = method.input_type
            field = request.fields_by_name["events"].number
            fields = message_fields(request)
            yield path, partial(check_batch, path=path, field=field, fields=fields)


PUBLISHING: Mapping[str, CheckBytes] = dict(_publishing())
"""
The methods that publish, by path, with the check of their messages.
"""

"""
A stream of batches of which some are refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service_runtime.rpc.status import read_status
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from tests.e2e.test_pair import shipped
from tests.support.pair import DISPATCH, Pair, eventually
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

METHOD = "/shipedge.webhooks.dispatch.v1.PublisherService/StreamEvents"
BATCHES = 20
REFUSED = {11: "BATCH_INVALID", 12: "MESSAGE_MALFORMED", 13: "BATCH_INVALID"}


def batch(number: int) -> bytes:
    """
    Make a batch of one event; the 11th has too many, the 12th is no message, the 13th has none.
    """
    event = shipped(f"e-{number}")
    match number:
        case 11:
            return pb.StreamEventsRequest(batch_id=11, events=[event] * 501).SerializeToString()
        case 12:
            return b"\xff\xff"
        case 13:
            return pb.StreamEventsRequest(batch_id=13).SerializeToString()
    return pb.StreamEventsRequest(batch_id=number, events=[event]).SerializeToString()


async def test_refused_batches_cost_no_other(pair: Pair, receiver: Receiver) -> None:
    """
    Each batch has its answer, with results or with its status; all other events are delivered.
    """
    await pair.known((await pair.subscribe(receiver.url, "orders/shipped", "v2")).name)

    async def batches() -> AsyncIterator[bytes]:
        for number in range(1, BATCHES + 1):
            yield batch(number)

    channel: Any = pair.channels[DISPATCH]
    read = pb.StreamEventsResponse.FromString
    call = channel.stream_stream(METHOD, response_deserializer=read)(batches())
    answers = {answer.position: answer async for answer in call}

    assert sorted(answers) == list(range(1, BATCHES + 1))
    refused = {
        position: read_status(answer.error).reason
        for position, answer in answers.items()
        if answer.HasField("error")
    }
    assert refused == REFUSED
    taken = [answer for position, answer in answers.items() if position not in REFUSED]
    assert all(answer.batch_id == answer.position for answer in taken)
    assert all(answer.results.results[0].HasField("accepted") for answer in taken)
    await eventually(lambda: len(receiver.requests) == len(taken))

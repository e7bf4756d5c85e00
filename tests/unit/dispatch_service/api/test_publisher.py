"""
What publishers see of a full backlog.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import pytest

from dispatch_service.api.publisher import PublisherServicer
from dispatch_service.domain.errors import BacklogFull
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.accept import EventAcceptor
from dispatch_service.intake.waiting import Answer
from service_runtime.rpc.callers import DEVELOPMENT, current_caller
from service_runtime.rpc.status import read_status
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.dispatch_factories import NOW

pytestmark = pytest.mark.anyio

FULL = BacklogFull("events wait", 9, 5, owner="accounts/100", held=7)


class Acceptor:
    """
    Accepts what is not for account 100, which has its share.
    """

    async def accept(self, events: Sequence[Event]) -> list[Answer]:
        """
        Answer each event, or refuse all.
        """
        if all(event.account_id == 100 for event in events):
            raise FULL
        return [FULL if it.account_id == 100 else Receipt(NOW, b"", fresh=True) for it in events]


@pytest.fixture
def servicer() -> Iterator[PublisherServicer]:
    """
    Yield a servicer whose caller may publish for everybody.
    """
    token = current_caller.set(DEVELOPMENT)
    yield PublisherServicer(cast(EventAcceptor, Acceptor()))
    current_caller.reset(token)


def batch(*accounts: int) -> list[Event]:
    """
    Make an event of each account.
    """
    return [Event(event_id="e", account_id=it) for it in accounts]


async def test_call_for_one_owner_is_refused_as_a_whole(servicer: PublisherServicer) -> None:
    """
    With all events refused the call has that status.
    """
    context: Any = None

    with pytest.raises(BacklogFull):
        await servicer.PublishEvents(pb.PublishEventsRequest(events=batch(100, 100)), context)


async def test_call_for_several_owners_is_answered_event_by_event(
    servicer: PublisherServicer,
) -> None:
    """
    The result of a refused event says whom it concerns and what the limit is.
    """
    context: Any = None

    answer = await servicer.PublishEvents(pb.PublishEventsRequest(events=batch(200, 100)), context)

    refused = read_status(answer.results[1].error)
    assert answer.results[0].HasField("accepted")
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "BACKLOG_FULL")
    assert refused.metadata == {
        "waiting": "9",
        "limit": "5",
        "owner": "accounts/100",
        "held": "7",
    }


async def test_stream_goes_on_after_a_refused_batch(servicer: PublisherServicer) -> None:
    """
    It may carry batches of other owners; each batch has its answer.
    """
    context: Any = None

    async def requests() -> AsyncIterator[pb.StreamEventsRequest]:
        yield pb.StreamEventsRequest(batch_id=1, events=batch(100, 100))
        yield pb.StreamEventsRequest(batch_id=2, events=batch(200, 100))

    first, second = [it async for it in servicer.StreamEvents(requests(), context)]

    assert (first.batch_id, first.position) == (1, 1)
    assert read_status(first.error).reason == "BACKLOG_FULL"
    assert (second.batch_id, second.position) == (2, 2)
    assert [it.WhichOneof("result") for it in second.results.results] == ["accepted", "error"]

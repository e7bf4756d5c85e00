"""
The publisher against a server whose answers are given.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import timedelta
from typing import Never

import grpc
import pytest

from dispatch_service.payloads import example_event
from service_runtime.rpc.errors import FieldFault, InvalidArgument, ResourceExhausted, RpcError
from service_runtime.rpc.status import to_status
from shipedge.webhooks.client.async_publisher import AsyncPublisher
from shipedge.webhooks.client.errors import ApiError, NotAnsweredError, PublisherClosedError
from shipedge.webhooks.client.event_queue import BatchLimits
from shipedge.webhooks.client.observer import PublisherObserver
from shipedge.webhooks.client.publisher import Publisher
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2

Refusal = Callable[[event_pb2.Event], RpcError | None]
PATIENCE = 30.0


def shipped(event_id: str, account: int = 100, order: int = 1) -> event_pb2.Event:
    """
    Make an event of an order.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = event_id, account
    event.order_status_changed.order.id = order
    return event


class ScriptedService(publisher_service_pb2_grpc.PublisherServiceServicer):
    """
    Accepts events, but for those that *refusal* refuses and calls that end with *statuses*.
    """

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.batches: list[int] = []
        self.statuses: list[grpc.StatusCode] = []
        self.refusal: Refusal = lambda _: None
        self.open = threading.Event()
        self.open.set()

    def PublishEvents(
        self, request: pb.PublishEventsRequest, context: grpc.ServicerContext
    ) -> pb.PublishEventsResponse:
        self.open.wait(PATIENCE)
        self.batches.append(len(request.events))
        if self.statuses:
            context.abort(self.statuses.pop(), "as scripted")
        return pb.PublishEventsResponse(results=map(self._result, request.events))

    def StreamEvents(self, request_iterator: object, context: grpc.ServicerContext) -> Never:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the publisher sends single calls")

    def _result(self, event: event_pb2.Event) -> pb.PublishResult:
        if refused := self.refusal(event):
            return pb.PublishResult(error=to_status(refused))
        self.accepted.append(event.event_id)
        return pb.PublishResult(accepted=pb.AcceptedEvent(name=event.event_id))


@contextmanager
def serving(service: ScriptedService) -> Iterator[str]:
    """
    Serve on a free port; yield the address.
    """
    server = grpc.server(futures.ThreadPoolExecutor(8))
    publisher_service_pb2_grpc.add_PublisherServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.open.set()
        server.stop(None).wait()


@pytest.fixture
def service() -> ScriptedService:
    """
    Return a service that accepts everything.
    """
    return ScriptedService()


@pytest.fixture
def address(service: ScriptedService) -> Iterator[str]:
    """
    Yield where that service listens.
    """
    with serving(service) as running:
        yield running


def test_single_events_go_in_batches(service: ScriptedService, address: str) -> None:
    """
    All events have their answers, in few calls.
    """
    with Publisher(address, limits=BatchLimits(linger_seconds=0.05)) as publisher:
        answers = [publisher.publish(shipped(f"e-{it}", order=it)) for it in range(2000)]
        names = [answer.result(PATIENCE).name for answer in answers]

    assert names == [f"e-{it}" for it in range(2000)]
    assert len(service.batches) < 400
    assert publisher.waiting_bytes == 0


def test_calls_without_an_answer_are_repeated_in_order(
    service: ScriptedService, address: str
) -> None:
    """
    Events of one order arrive in their order, whatever becomes of the calls before.
    """
    service.statuses = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN]
    with Publisher(address, limits=BatchLimits(events=3)) as publisher:
        for number in range(20):
            publisher.publish(shipped(f"e-{number}"))

    assert service.accepted == [f"e-{number}" for number in range(20)]


def test_a_full_account_waits_alone(service: ScriptedService, address: str) -> None:
    """
    Events that are refused for now are sent again after the time that was asked for, in their
    order, and others are not delayed.
    """
    opened = threading.Event()
    full = ResourceExhausted("full", reason="BACKLOG_FULL", retry_after=timedelta(milliseconds=50))
    service.refusal = lambda it: full if it.account_id == 1 and not opened.is_set() else None
    with Publisher(address, connections=1) as publisher:
        waiting = [publisher.publish(shipped(f"a-{it}", account=1)) for it in range(5)]
        others = [publisher.publish(shipped(f"b-{it}", account=2)) for it in range(5)]
        for answer in others:
            answer.result(PATIENCE)
        assert not any(answer.done() for answer in waiting)
        opened.set()

    assert service.accepted == [f"b-{it}" for it in range(5)] + [f"a-{it}" for it in range(5)]


class Counting(PublisherObserver):
    """
    Counts, and fails once at each call: that must not matter.
    """

    def __init__(self) -> None:
        self.events = self.refused = self.retried = 0

    def batch_answered(self, events: int, content_bytes: int, seconds: float) -> None:
        self.events += events
        raise ValueError(content_bytes)

    def event_refused(self, error: ApiError) -> None:
        self.refused += 1

    def events_retried(self, events: int, error: ApiError, seconds: float) -> None:
        self.retried += events


def test_a_refused_event_raises_its_violations(service: ScriptedService, address: str) -> None:
    """
    One bad event costs no other, and says which field is at fault; the observer counts both.
    """
    fault = FieldFault("order_status_changed.order.id", "must be 1 or more")
    bad = InvalidArgument("bad", faults=[fault], reason="EVENT_INVALID")
    service.refusal = lambda event: bad if event.event_id == "e-2" else None
    counted = Counting()
    with Publisher(address, observer=counted, connections=1) as publisher:
        answers = [publisher.publish(shipped(f"e-{number}")) for number in range(4)]
        with pytest.raises(ApiError) as refused:
            answers[2].result(PATIENCE)

    assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "EVENT_INVALID")
    (violation,) = refused.value.violations
    assert (violation.field, violation.description) == (fault.field, fault.description)
    assert service.accepted == ["e-0", "e-1", "e-3"]
    assert (counted.events, counted.refused, counted.retried) == (4, 1, 0)


def test_too_large_an_event_is_refused_here(service: ScriptedService, address: str) -> None:
    """
    It would be refused by the service; it is not even sent.
    """
    with Publisher(address) as publisher:
        answer = publisher.publish(shipped("x" * 300_000))

    with pytest.raises(ApiError, match="262144 bytes at most"):
        answer.result(0)
    assert not service.batches


def test_memory_is_bounded(service: ScriptedService, address: str) -> None:
    """
    With a service that does not answer, `publish` waits; `close` gives up after its time, and
    says so for each event.
    """
    service.open.clear()
    size = shipped("e-00").ByteSize()
    publisher = Publisher(address, memory_bytes=size * 10)
    answers = [publisher.publish(shipped(f"e-{number:02}")) for number in range(10)]

    with pytest.raises(TimeoutError, match="memory was full"):
        publisher.publish(shipped("e-10"), timeout=0.01)
    with pytest.raises(TimeoutError, match="10 events"):
        publisher.flush(0.01)
    with pytest.raises(NotAnsweredError, match="10 events"):
        publisher.close(0.01)

    assert all(isinstance(it.exception(0), NotAnsweredError) for it in answers)
    assert publisher.waiting_bytes == 0
    publisher.close()
    with pytest.raises(PublisherClosedError):
        publisher.publish(shipped("e-11"))


@pytest.mark.anyio
async def test_asyncio_waits_for_memory(service: ScriptedService, address: str) -> None:
    """
    More events than fit into the memory are published without blocking the loop.
    """
    inner = Publisher(address, memory_bytes=shipped("e-00").ByteSize() * 4)
    async with AsyncPublisher(inner) as publisher:
        answers = [await publisher.publish(shipped(f"e-{it:02}")) for it in range(50)]
        await publisher.flush()
        assert [it.name for it in await asyncio.gather(*answers)] == service.accepted

    assert sorted(service.accepted) == [f"e-{it:02}" for it in range(50)]


def test_threads_share_a_publisher(service: ScriptedService, address: str) -> None:
    """
    Each thread's events of one order arrive in its order.
    """

    def work(order: int) -> None:
        for number in range(100):
            publisher.publish(shipped(f"{order}-{number}", order=order))

    with Publisher(address) as publisher, futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(1, 5)))
        threads.shutdown()

    for order in range(1, 5):
        mine = [it for it in service.accepted if it.startswith(f"{order}-")]
        assert mine == [f"{order}-{number}" for number in range(100)]

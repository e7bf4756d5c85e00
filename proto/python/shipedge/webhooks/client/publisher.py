"""
A publisher that takes events one by one, from any thread, and loses none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any

import grpc

from shipedge.webhooks.client.channel import SERVICE_CONFIG, connect_blocking
from shipedge.webhooks.client.deadlines import deadlines
from shipedge.webhooks.client.errors import (
    ApiError,
    FieldViolation,
    NotAnsweredError,
    PublisherClosedError,
)
from shipedge.webhooks.client.event_queue import MOST_EVENT_BYTES, BatchLimits, PendingEvent
from shipedge.webhooks.client.memory import MemoryLimit
from shipedge.webhooks.client.observer import PublisherObserver
from shipedge.webhooks.client.ordering import connection_of
from shipedge.webhooks.client.sender import EventSender, PublishCall, SharedParts
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2

METHOD = "/shipedge.webhooks.dispatch.v1.PublisherService/PublishEvents"

DEFAULT_MEMORY_BYTES = 32 * 1024 * 1024


class Publisher:
    """
    Publishes events in batches over several connections. Thread-safe.

        with Publisher("dispatch.internal:50052", credentials) as publisher:
            accepted = publisher.publish(event)
            accepted.result()

    Without *credentials* there is no TLS; *token* is that of a caller without a certificate.
    Events about one resource are published in the order of `publish`. What gets no answer, or is
    refused for now, is published again under the same ids until it has one. Events that are not
    answered take *memory_bytes* at most; then `publish` waits.
    """

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None = None,
        *,
        token: str = "",
        limits: BatchLimits | None = None,
        connections: int = 4,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        observer: PublisherObserver | None = None,
    ) -> None:
        if connections < 1:
            raise ValueError(f"connections: must be 1 or more, not {connections}")
        self._memory = MemoryLimit(memory_bytes)
        self._closed = False
        shared = SharedParts(limits or BatchLimits(), self._memory, observer or PublisherObserver())
        self._channels = [
            connect_blocking(address, credentials, own_connection=True, retries=False)
            for _ in range(connections)
        ]
        self._senders = [
            EventSender(f"publisher-{number}", _call(channel, token), shared)
            for number, channel in enumerate(self._channels)
        ]

    @property
    def waiting_bytes(self) -> int:
        """
        Return the size of all events that are not answered.
        """
        return self._memory.used

    def publish(
        self, event: event_pb2.Event, timeout: float | None = None
    ) -> Future[pb.AcceptedEvent]:
        """
        Take an event, which may be changed afterwards; wait while the memory is full, for
        *timeout* seconds at most.

        The future has the accepted event, or raises `ApiError` with the field violations, or
        `NotAnsweredError`. Its callbacks run in a thread that sends and must not block. Raises
        `PublisherClosedError`, and `TimeoutError` if the memory stayed full.
        """
        accepted = self.offer(event, timeout)
        if accepted is None:
            raise TimeoutError(f"the publisher's memory was full for {timeout} s")
        return accepted

    def offer(
        self, event: event_pb2.Event, timeout: float | None = 0.0
    ) -> Future[pb.AcceptedEvent] | None:
        """
        Do as `publish` does, but return `None` if the memory stayed full.
        """
        if self._closed:
            raise PublisherClosedError("the publisher is closed")
        future: Future[pb.AcceptedEvent] = Future()
        # It cannot be cancelled: what was sent cannot be taken back.
        future.set_running_or_notify_cancel()
        content = event.SerializeToString()
        if len(content) > MOST_EVENT_BYTES:
            future.set_exception(_too_large(len(content)))
            return future
        if not self._memory.take(len(content), timeout):
            return None
        pending = PendingEvent(content, event.account_id, time.monotonic(), future)
        try:
            self._senders[connection_of(event, len(self._senders))].add(pending)
        except PublisherClosedError:
            self._memory.release(len(content))
            raise
        return future

    def on_room(self, event: event_pb2.Event, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, in any thread, as soon as `offer` may take *event*.
        """
        self._memory.on_release(event.ByteSize(), callback)

    def flush(self, timeout: float | None = None) -> None:
        """
        Wait until all events that were published before are answered. Raises `TimeoutError` if
        they are not after *timeout* seconds; they stay with the publisher.
        """
        left = self._flushed(timeout)
        if left:
            raise TimeoutError(f"{left} events are not answered after {timeout} s")

    def close(self, timeout: float | None = None) -> None:
        """
        Take no more events, wait for the answers to all, and end.

        After *timeout* seconds the rest gets `NotAnsweredError`, and so is raised here. May be
        called again.
        """
        self._closed = True
        left = self._flushed(timeout)
        for sender in self._senders:
            sender.stop()
        for channel in self._channels:
            channel.close()
        for sender in self._senders:
            sender.join()
        if left:
            raise NotAnsweredError(f"{left} events are not answered after {timeout} s")

    def _flushed(self, timeout: float | None) -> int:
        """
        Return how many events are not answered after *timeout* seconds.
        """
        futures = [future for sender in self._senders for future in sender.flush()]
        return len(wait(futures, timeout).not_done)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _call(channel: grpc.Channel, token: str) -> PublishCall:
    """
    Return `PublishEvents` of a channel, with the deadline of the contract and a caller's token.
    """
    method: Any = channel.unary_unary(
        METHOD, response_deserializer=pb.PublishEventsResponse.FromString
    )
    seconds = deadlines(SERVICE_CONFIG)[METHOD]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(request: bytes) -> pb.PublishEventsResponse:
        answer: pb.PublishEventsResponse = method(request, timeout=seconds, metadata=metadata)
        return answer

    return call


def _too_large(size: int) -> ApiError:
    text = f"must be {MOST_EVENT_BYTES} bytes at most, not {size}"
    return ApiError(
        "INVALID_ARGUMENT",
        f"The event is too large: {text}",
        reason="EVENT_INVALID",
        metadata={"fields": "event"},
        violations=[FieldViolation("event", text, "EVENT_INVALID")],
    )

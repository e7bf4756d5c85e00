"""
The thread that publishes the events of one connection, one batch after the other.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import grpc

from shipedge.webhooks.client.errors import (
    ApiError,
    NotAnsweredError,
    PublisherClosedError,
    error_of_call,
    error_of_status,
)
from shipedge.webhooks.client.event_queue import (
    MOST_EVENTS,
    BatchLimits,
    EventQueue,
    PendingEvent,
)
from shipedge.webhooks.client.memory import MemoryLimit
from shipedge.webhooks.client.observer import PublisherObserver, report
from shipedge.webhooks.client.retries import is_retried, is_split, retry_delay
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb

_TAG_OF_EVENTS = b"\x0a"
_SEVEN_BITS = 0x7F
_MORE = 0x80


class PublishCall(Protocol):
    """
    `PublishEvents` with a request that is serialised already. Raises `grpc.RpcError`.
    """

    def __call__(self, request: bytes) -> pb.PublishEventsResponse: ...


@dataclass(frozen=True, slots=True)
class SharedParts:
    """
    What all senders of a publisher share.
    """

    limits: BatchLimits
    memory: MemoryLimit
    observer: PublisherObserver


class EventSender:
    """
    Publishes what is added, in order, until it is stopped. A batch that gets no answer is sent
    again, and the next one waits for it: so the order is kept.
    """

    def __init__(self, name: str, call: PublishCall, shared: SharedParts) -> None:
        self._call = call
        self._shared = shared
        self._queue = EventQueue(shared.limits)
        self._in_flight: list[PendingEvent] = []
        self._changed = threading.Condition()
        self._flushing = self._stopped = False
        self._failures = 0
        self._most_events = MOST_EVENTS
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, event: PendingEvent) -> None:
        """
        Add an event. Raises `PublisherClosedError` after `stop`.
        """
        with self._changed:
            if self._stopped:
                raise PublisherClosedError("the publisher is closed")
            self._queue.add(event)
            self._changed.notify()

    def flush(self) -> list[Future[pb.AcceptedEvent]]:
        """
        Send without waiting for full batches; return the futures of all events that are there.
        """
        with self._changed:
            self._flushing = True
            self._changed.notify()
            return [event.future for event in (*self._in_flight, *self._queue)]

    def stop(self) -> None:
        """
        Start no more calls.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self) -> None:
        """
        Wait for the call in flight; events without an answer get `NotAnsweredError`.
        """
        self._thread.join()
        left, self._in_flight = [*self._in_flight, *self._queue], []
        self._queue = EventQueue(self._shared.limits)
        for event in left:
            self._settle(event, NotAnsweredError("closed before the service answered"))

    def _run(self) -> None:
        while batch := self._next_batch():
            started = time.monotonic()
            try:
                results = self._publish(batch)
            except ApiError as error:
                delay = self._refused(batch, error)
            else:
                delay = 0.0
                size = sum(len(event.content) for event in batch)
                report(
                    self._shared.observer.batch_answered,
                    len(batch),
                    size,
                    time.monotonic() - started,
                )
                self._answered(batch, results)
            self._pause(delay)

    def _next_batch(self) -> list[PendingEvent]:
        """
        Wait for a batch that is due; it is empty when the sender was stopped.
        """
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                wait = self._queue.due_in(now, flushing=self._flushing)
                if wait is None:
                    self._flushing = False
                if wait == 0.0:
                    batch = self._queue.take(now, self._most_events)
                    if batch:
                        self._in_flight = batch
                        return batch
                else:
                    self._changed.wait(wait)
        return []

    def _publish(self, batch: Sequence[PendingEvent]) -> Sequence[pb.PublishResult]:
        """
        Publish a batch. Raises `ApiError` if the call was refused or had no answer.
        """
        try:
            answer = self._call(request_of([event.content for event in batch]))
        except grpc.RpcError as error:
            raise error_of_call(error) from error
        if len(answer.results) != len(batch):
            raise ApiError("DATA_LOSS", f"{len(answer.results)} results for {len(batch)} events")
        return answer.results

    def _answered(self, batch: Sequence[PendingEvent], results: Sequence[pb.PublishResult]) -> None:
        """
        Settle the events of an answer; those that may be accepted later wait.
        """
        self._failures, self._most_events = 0, MOST_EVENTS
        later: list[tuple[PendingEvent, ApiError]] = []
        settled: list[tuple[PendingEvent, pb.AcceptedEvent | ApiError]] = []
        for event, result in zip(batch, results, strict=True):
            if result.HasField("accepted"):
                settled.append((event, result.accepted))
                continue
            error = error_of_status(result.error)
            (later if is_retried(error) else settled).append((event, error))
        with self._changed:
            for event, error in later:
                delay = retry_delay(1, error.retry_after, random.random())  # noqa: S311 - only spreads
                self._queue.suspend([event], time.monotonic() + delay)
                report(self._shared.observer.events_retried, 1, error, delay)
            self._in_flight = []
        for event, outcome in settled:
            self._settle(event, outcome)

    def _refused(self, batch: Sequence[PendingEvent], error: ApiError) -> float:
        """
        Put back a batch without an answer, or settle it; return for how long to wait.
        """
        again = is_retried(error) or is_split(error, len(batch))
        with self._changed:
            if again:
                self._queue.put_back(batch)
            self._in_flight = []
        if not again:
            for event in batch:
                self._settle(event, error)
            return 0.0
        if is_split(error, len(batch)):
            self._most_events = len(batch) // 2
            return 0.0
        self._failures += 1
        delay = retry_delay(self._failures, error.retry_after, random.random())  # noqa: S311 - only spreads
        report(self._shared.observer.events_retried, len(batch), error, delay)
        return delay

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while not self._stopped and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def _settle(self, event: PendingEvent, outcome: pb.AcceptedEvent | Exception) -> None:
        # The memory first: a callback of the future may publish.
        self._shared.memory.release(len(event.content))
        if isinstance(outcome, Exception):
            event.future.set_exception(outcome)
        else:
            event.future.set_result(outcome)
        if isinstance(outcome, ApiError):
            report(self._shared.observer.event_refused, outcome)


def request_of(contents: Sequence[bytes]) -> bytes:
    """
    Return a serialised `PublishEventsRequest` of serialised events.
    """
    parts: list[bytes] = []
    for content in contents:
        parts += (_TAG_OF_EVENTS, _varint(len(content)), content)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > _SEVEN_BITS:
        written.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)

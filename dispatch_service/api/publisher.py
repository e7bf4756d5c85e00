"""
Publishing events over the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dispatch_service.api.batches import MOST_EVENTS
from dispatch_service.api.warehouses import forbidden
from dispatch_service.domain.errors import BatchInvalid
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.accept import EventAcceptor, all_answers
from dispatch_service.intake.waiting import Answer
from service_runtime.observability.tasks import start_watched
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.errors import StoreUnavailable
from service_runtime.rpc.gate.messages import RefusedMessage
from service_runtime.rpc.status import status_of
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

MOST_BATCHES = 16
"""
The most batches of a stream in progress; the stream is not read further until one is done.
"""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Batch = publisher_service_pb2.StreamEventsRequest | RefusedMessage
_Answer = publisher_service_pb2.StreamEventsResponse | Exception | None


class PublisherServicer(publisher_service_pb2_grpc.PublisherServiceServicer):
    def __init__(self, acceptor: EventAcceptor) -> None:
        self._acceptor = acceptor

    async def PublishEvents(
        self, request: publisher_service_pb2.PublishEventsRequest, context: Context
    ) -> publisher_service_pb2.PublishEventsResponse:
        """
        Accept a batch; return a result for each event.
        """
        response = publisher_service_pb2.PublishEventsResponse()
        _fill(response.results, request.events, await self._publish(request.events))
        return response

    async def StreamEvents(
        self, request_iterator: AsyncIterator[_Batch], context: Context
    ) -> AsyncIterator[publisher_service_pb2.StreamEventsResponse]:
        """
        Accept batches as they come, and answer each when it is committed or refused.
        """
        answers: asyncio.Queue[_Answer] = asyncio.Queue()
        reader = start_watched(self._read(request_iterator, answers), "publish stream")
        try:
            while (answer := await answers.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            reader.cancel()

    async def _read(self, batches: AsyncIterator[_Batch], answers: asyncio.Queue[_Answer]) -> None:
        """
        Start the batches in the order in which they come, a bounded number at a time.
        """
        slots = asyncio.Semaphore(MOST_BATCHES)
        end: _Answer = None
        position = 0
        async with asyncio.TaskGroup() as started:
            try:
                async for batch in batches:
                    position += 1
                    await slots.acquire()
                    started.create_task(self._answer(batch, position, answers, slots))
            except Exception as ending:  # noqa: BLE001 - it ends the stream, in the caller's task
                # What was received before is answered first.
                end = ending
        answers.put_nowait(end)

    async def _answer(
        self,
        batch: _Batch,
        position: int,
        answers: asyncio.Queue[_Answer],
        slots: asyncio.Semaphore,
    ) -> None:
        response = publisher_service_pb2.StreamEventsResponse(position=position)
        try:
            await self._fill_results(batch, response)
        except Exception as error:  # noqa: BLE001 - each batch is answered by itself
            response.error.CopyFrom(status_of(error))
        finally:
            slots.release()
        answers.put_nowait(response)

    async def _fill_results(
        self, batch: _Batch, response: publisher_service_pb2.StreamEventsResponse
    ) -> None:
        if isinstance(batch, RefusedMessage):
            raise batch.error
        response.batch_id = batch.batch_id
        outcomes = await self._publish(batch.events)
        _fill(response.results.results, batch.events, outcomes)

    async def _publish(self, events: Sequence[event_pb2.Event]) -> list[Answer]:
        """
        Accept events. Raises errors that concern the whole batch: `BatchInvalid`, `BacklogFull`,
        `StoreUnavailable`.
        """
        if not 1 <= len(events) <= MOST_EVENTS:
            raise BatchInvalid(len(events), MOST_EVENTS)
        refused = forbidden(current_caller.get(), events)
        if refused:
            return await self._publish_others(events, refused)
        return await self._accept(events)

    async def _publish_others(
        self, events: Sequence[event_pb2.Event], refused: Mapping[int, Exception]
    ) -> list[Answer]:
        """
        Accept the events that are not *refused*; return the answers of all.
        """
        others = [event for index, event in enumerate(events) if index not in refused]
        return all_answers(len(events), refused, await self._accept(others) if others else ())

    async def _accept(self, events: Sequence[event_pb2.Event]) -> list[Answer]:
        outcomes = await self._acceptor.accept(events)
        for outcome in outcomes:
            if isinstance(outcome, StoreUnavailable):
                raise outcome
        return outcomes


def _put(
    answers: asyncio.Queue[_Answer],
    request: publisher_service_pb2.StreamEventsRequest,
    outcomes: Sequence[Answer],
) -> None:
    response = publisher_service_pb2.StreamEventsResponse(batch_id=request.batch_id)
    _fill(response.results, request.events, outcomes)
    answers.put_nowait(response)


def _fill(results: Any, events: Sequence[event_pb2.Event], outcomes: Sequence[Answer]) -> None:
    """
    Write the results of *events* into those of a response.

    Results that are made first would be copied into the response.
    """
    for event, outcome in zip(events, outcomes, strict=True):
        result = results.add()
        if isinstance(outcome, Exception):
            result.error.CopyFrom(status_of(outcome))
        else:
            _write_accepted(result.accepted, event, outcome)


def _write_accepted(accepted: Any, event: event_pb2.Event, receipt: Receipt) -> None:
    accepted.name = names.event(event.account_id, event.event_id)
    since = receipt.accept_time - _EPOCH
    accepted_at = accepted.accept_time
    accepted_at.seconds = since.days * 86_400 + since.seconds
    accepted_at.nanos = since.microseconds * 1000

"""
Accepting events: from a published event to the answer that its publisher gets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dispatch_service.domain.errors import BacklogFull, EventIdReused
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.backlog_limits import Backlog
from dispatch_service.intake.prepare import SampleRequest, serialised
from dispatch_service.intake.waiting import Answer, WaitingEvents
from dispatch_service.log.events import find
from dispatch_service.storage.sealing import DayKeys
from service_runtime.observability.dispatch_metrics import EVENTS_REFUSED
from service_runtime.rpc.errors import Internal
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def all_answers(
    count: int, refused: Mapping[int, Exception], others: Sequence[Answer]
) -> list[Answer]:
    """
    Return *count* answers in order: of the *refused* by index, and of all *others*.
    """
    rest = iter(others)
    return [refused.get(index) or next(rest) for index in range(count)]


class EventAcceptor:
    """
    Accepts events: each is committed, or refused with the error that its publisher sees.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        keys: DayKeys,
        waiting: WaitingEvents,
        backlog: Backlog,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._waiting = waiting
        self._backlog = backlog

    async def accept(self, events: Sequence[event_pb2.Event]) -> list[Answer]:
        """
        Commit *events*; return, in order, what was stored or why it was not.

        An event whose owner has its share of the backlog is answered with `BacklogFull`; if that
        concerns all of them, `BacklogFull` is raised.
        """
        try:
            refused = self._backlog.refusals(events)
        except BacklogFull as full:
            EVENTS_REFUSED.add(full.reason, count=len(events))
            raise
        others = [event for index, event in enumerate(events) if index not in refused]
        answers = all_answers(len(events), refused, await self._accept(others))
        for answer in answers:
            if isinstance(answer, Exception):
                EVENTS_REFUSED.add(getattr(answer, "reason", Internal.reason))
        if all(isinstance(answer, BacklogFull) for answer in answers):
            raise next(answer for answer in answers if isinstance(answer, BacklogFull))
        return answers

    async def _accept(self, events: Sequence[event_pb2.Event]) -> list[Answer]:
        answers = await self._waiting.submit(events).all()
        return [
            answer
            if isinstance(answer, Exception) or answer.fresh
            else await self._compared(event, answer)
            for event, answer in zip(events, answers, strict=True)
        ]

    async def accept_sample(self, event: event_pb2.Event, request: SampleRequest) -> Receipt:
        """
        Commit the event of a sample with the one delivery that was asked for.

        Raises `BacklogFull`, `StoreUnavailable`.
        """
        for refused in self._backlog.refusals([event]).values():
            raise refused
        (answer,) = await self._waiting.submit([event], request).all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _compared(self, event: event_pb2.Event, receipt: Receipt) -> Answer:
        """
        Answer an event whose id was known: its content must be the same.
        """
        try:
            if receipt.sha256 != hashlib.sha256(serialised(event)).digest():
                await shielded(self._compare(event))
        except Exception as error:  # noqa: BLE001 - each event is answered by itself
            return error
        return receipt

    async def _compare(self, event: event_pb2.Event) -> None:
        """
        Raise `EventIdReused` unless the stored event equals this one in other bytes.
        """
        stored = await find(self._engine, self._keys, event.account_id, event.event_id)
        if stored is None or stored.event != event:
            raise EventIdReused(event.account_id, event.event_id)

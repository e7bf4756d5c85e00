"""
From a published event to the answer that its publisher gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatch_service.domain.errors import EventIdReused
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.admission import Admission
from dispatch_service.intake.answers import Answer
from dispatch_service.intake.commit import GroupCommitter
from dispatch_service.log.events import content_hash, find
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.sealing import DayKeys
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class Intake:
    """
    Accepts events: each ends as committed or with the error that its publisher sees.
    """

    def __init__(
        self, engine: AsyncEngine, keys: DayKeys, admission: Admission, committer: GroupCommitter
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._admission = admission
        self._committer = committer

    async def accept(self, events: Sequence[event_pb2.Event]) -> list[Answer]:
        """
        Commit *events*; return, in order, what was stored or why it was not.

        Raises `BacklogFull` before anything is done.
        """
        self._committer.check_room(len(events))
        given = await self._committer.submit(events).all()
        return [
            answer
            if isinstance(answer, Exception) or answer.fresh
            else await self._compared(event, answer)
            for event, answer in zip(events, given, strict=True)
        ]

    async def accept_test(
        self, event: event_pb2.Event, subscription: Subscription, requested_by: str
    ) -> Receipt:
        """
        Commit a sample *event* with one delivery, to *subscription*, whatever its filter says.

        Raises `BacklogFull`, `StoreUnavailable`.
        """
        self._committer.check_room(1)
        sealer = await self._admission.sealer()
        prepared = self._admission.prepare_test(event, subscription, requested_by, sealer)
        (answer,) = await self._committer.submit_prepared(event, prepared).all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _compared(self, event: event_pb2.Event, receipt: Receipt) -> Answer:
        """
        Answer for an event whose id was known: it must say the same.
        """
        try:
            if receipt.sha256 != content_hash(event):
                await shielded(self._compare(event))
        except Exception as error:  # noqa: BLE001 - each event is answered by itself
            return error
        return receipt

    async def _compare(self, event: event_pb2.Event) -> None:
        """
        Raise `EventIdReused` unless the stored event says the same in other bytes.
        """
        stored = await find(self._engine, self._keys, event.account_id, event.event_id)
        if stored is None or stored.event != event:
            raise EventIdReused(event.account_id, event.event_id)

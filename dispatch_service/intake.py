"""
From a published event to its place in the group commit: checked, routed,
rendered once per event type and version, sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatch_service.answers import Answer, Answers
from dispatch_service.committer import GroupCommitter
from dispatch_service.errors import EventIdReused, EventInvalid
from dispatch_service.event_store import content_hash, find, serialised
from dispatch_service.lanes import Lanes
from dispatch_service.payloads import check
from dispatch_service.preparation import Prepared, Preparer, prepare_waiting
from dispatch_service.queue import Receipt
from dispatch_service.sealing import DayKeys, Sealer
from dispatch_service.subscriptions import Subscription, SubscriptionIndex
from shipedge.webhooks.events.v1 import event_pb2
from shipedge.webhooks.rpc.uncut import uncut

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class Intake:
    """
    Accepts events: each ends as committed or with the error that its publisher sees.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        keys: DayKeys,
        lanes: Lanes,
        committer: GroupCommitter,
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._preparer = Preparer(subscriptions)
        self._keys = keys
        self._lanes = lanes
        self._committer = committer

    async def accept(self, events: Sequence[event_pb2.Event]) -> list[Answer]:
        """
        Commit *events*; return, in order, what was stored or why it was not.

        Raises `BacklogFull` before anything is done.
        """
        self._committer.check_room(len(events))
        sealer = await self._keys.today()
        answers = Answers(len(events))
        for index, event in enumerate(events):
            content = serialised(event)
            if faults := check(event, content):
                answers.give(index, EventInvalid(faults))
            else:
                self._committer.submit(self.prepare(event, sealer, content), answers, index)
        given = await answers.all()
        return [
            answer
            if isinstance(answer, Exception) or answer.fresh
            else await self._compared(event, answer)
            for event, answer in zip(events, given, strict=True)
        ]

    def prepare(
        self, event: event_pb2.Event, sealer: Sealer, content: bytes | None = None
    ) -> Prepared:
        """
        Find, render and seal all that follows from an event that passed the checks.

        Without a snapshot of the subscriptions it is stored to be matched later.
        """
        if not self._subscriptions.complete:
            return prepare_waiting(event, sealer, content)
        return self._preparer.prepare(event, sealer, self._lanes.reserve, content)

    async def accept_test(
        self, event: event_pb2.Event, subscription: Subscription, requested_by: str
    ) -> Receipt:
        """
        Commit a sample *event* with one delivery, to *subscription*, whatever its filter says.

        Raises `BacklogFull`, `StoreUnavailable`.
        """
        self._committer.check_room(1)
        sealer = await self._keys.today()
        prepared = self._preparer.prepare_test(
            event, subscription, requested_by, sealer, self._lanes.reserve
        )
        answers = Answers(1)
        self._committer.submit(prepared, answers)
        (answer,) = await answers.all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _compared(self, event: event_pb2.Event, receipt: Receipt) -> Answer:
        """
        Answer for an event whose id was known: it must say the same.
        """
        try:
            if receipt.sha256 != content_hash(event):
                await uncut(self._compare(event))
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

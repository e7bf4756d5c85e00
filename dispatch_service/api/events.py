"""
Accepted events over the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch_service.api.readings import ReadingMethods
from dispatch_service.domain.errors import EventNotFound
from dispatch_service.log import events
from dispatch_service.log.event_filters import parse_event_filter
from dispatch_service.log.events import EventDeliveries
from dispatch_service.log.messages import event_message
from dispatch_service.routing.facts import read_facts
from dispatch_service.storage.rows import EventRow
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import PageTokens, page_size
from shipedge.webhooks.dispatch.v1 import accepted_event_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]


class EventMethods(ReadingMethods):
    """
    The methods of `DeliveryService` that show events.
    """

    _engine: AsyncEngine
    _keys: DayKeys
    _tokens: PageTokens

    async def GetEvent(
        self, request: pb.GetEventRequest, context: Context
    ) -> accepted_event_pb2.Event:
        """
        Return an event; operators and admins see its content too. Raises `EventNotFound`.
        """
        name = names.parse("event", request.name)
        async with reading(self._engine) as db:
            row = await events.get_event(db, names.account_number(name.owner), name.id)
            if row is None:
                raise EventNotFound(request.name)
            (message,) = await self._messages(db, [row])
            content = await events.read(db, self._keys, row.account, row.event_id)
        if content is not None and current_caller.get().has_role("operator", "admin"):
            await self._record_reading("GetEvent", request.name)
            message.content.CopyFrom(content)
        return message

    async def ListEvents(
        self, request: pb.ListEventsRequest, context: Context
    ) -> pb.ListEventsResponse:
        """
        List the events of an account, or of all.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        if names.is_warehouse(parent):
            fault = FieldFault("parent", "must be accounts/{account} or accounts/-")
            raise InvalidArgument("The request is not valid.", faults=[fault])
        async with reading(self._engine) as db:
            page = await events.list_events(
                db,
                parent,
                parse_event_filter(request.filter),
                hashed=self._keys.hashed,
                owners=current_caller.get().owners,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
            messages: list[accepted_event_pb2.Event] = []
            for start in range(0, len(page.rows), events.BATCH):
                some = page.rows[start : start + events.BATCH]
                messages += await self._messages(db, some)
        shown, last = page.fit(messages)
        return pb.ListEventsResponse(events=shown, next_page_token=self._tokens.make(last, request))

    async def _messages(
        self, db: AsyncConnection, rows: Sequence[EventRow]
    ) -> list[accepted_event_pb2.Event]:
        kept = await events.contents(db, self._keys, [(it.account, it.event_id) for it in rows])
        made = await events.made_of(db, rows, current_caller.get().may_touch)
        found = []
        for row in rows:
            key = (row.account, row.event_id)
            of_event = made.get(key, EventDeliveries())
            found.append(event_message(row, _event_types(kept.get(key), of_event), of_event.counts))
        return found


def _event_types(content: event_pb2.Event | None, made: EventDeliveries) -> Sequence[str]:
    if content is None:
        return sorted(made.event_types)
    return [it.event_type for it in read_facts(content).event_types]

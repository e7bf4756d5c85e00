"""
The methods of `ConfigService` that list endpoint events, and stream them to their owners.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from config_service.api.feed import ChangeNotifier, wait
from config_service.store.endpoint_events import listing, watching
from config_service.store.endpoint_events.event_rows import message_of
from config_service.store.store import Store
from service_runtime.database.engine import reading
from service_runtime.rpc import filters, names
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class EndpointEventMethods:
    """
    Lists and streams endpoint events. Streams look for changes of other processes every
    *poll_seconds* and send a heartbeat every *heartbeat_seconds*.
    """

    _store: Store
    _tokens: PageTokens
    _notifier: ChangeNotifier
    _poll_seconds: float
    _heartbeat_seconds: float

    async def ListEndpointEvents(
        self, request: config_service_pb2.ListEndpointEventsRequest, context: Context
    ) -> config_service_pb2.ListEndpointEventsResponse:
        """
        List endpoint events, newest first.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        async with reading(self._store.engine) as db:
            page = await listing.list_rows(
                db,
                parent,
                filters.parse(request.filter, listing.FILTER_FIELDS),
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
        shown, last = page.fit([message_of(row) for row in page.rows])
        return config_service_pb2.ListEndpointEventsResponse(
            endpoint_events=shown, next_page_token=self._tokens.make(last, request)
        )

    async def WatchEndpointEvents(
        self, request: config_service_pb2.WatchEndpointEventsRequest, context: Context
    ) -> AsyncIterator[config_service_pb2.WatchEndpointEventsResponse]:
        """
        Stream the endpoint events of an owner, from a cursor or from now on.
        """
        owner = names.parse_owner(request.parent)
        if request.cursor:
            revision = watching.parse_cursor(request.cursor)
        else:
            revision = await shielded(self._newest())
        last_answer = time.monotonic() - self._heartbeat_seconds
        while True:
            # Taken before the read, so that no change falls between the read and the wait.
            changed = self._notifier.next_change()
            events, revision = await shielded(self._events_after(owner, revision))
            if events or time.monotonic() - last_answer >= self._heartbeat_seconds:
                yield config_service_pb2.WatchEndpointEventsResponse(
                    endpoint_events=events, cursor=watching.cursor(revision)
                )
                last_answer = time.monotonic()
            if len(events) < watching.BATCH:
                await wait(changed, self._poll_seconds)

    async def _newest(self) -> int:
        async with reading(self._store.engine) as db:
            return await watching.newest(db)

    async def _events_after(self, owner: str, revision: int) -> tuple[Sequence[EndpointEvent], int]:
        async with reading(self._store.engine) as db:
            return await watching.after(db, owner, revision)

"""
The method of `ConfigService` that streams endpoint events to their owners.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from config_service.api.feed import ChangeNotifier, wait
from config_service.store import endpoint_feed
from config_service.store.store import Store
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class EndpointEventMethods:
    """
    Streams endpoint events. Changes of other processes are looked for every *poll_seconds*; a
    heartbeat is sent every *heartbeat_seconds*.
    """

    _store: Store
    _notifier: ChangeNotifier
    _poll_seconds: float
    _heartbeat_seconds: float

    async def WatchEndpointEvents(
        self, request: config_service_pb2.WatchEndpointEventsRequest, context: Context
    ) -> AsyncIterator[config_service_pb2.WatchEndpointEventsResponse]:
        """
        Stream the endpoint events of an owner, from a cursor or from now on.
        """
        owner = names.parse_owner(request.parent)
        if request.cursor:
            revision = endpoint_feed.parse_cursor(request.cursor)
        else:
            revision = await shielded(self._newest())
        last_answer = time.monotonic() - self._heartbeat_seconds
        while True:
            # Taken before the read, so that no change falls between the read and the wait.
            changed = self._notifier.next_change()
            events, revision = await shielded(self._events_after(owner, revision))
            if events or time.monotonic() - last_answer >= self._heartbeat_seconds:
                yield config_service_pb2.WatchEndpointEventsResponse(
                    endpoint_events=events, cursor=endpoint_feed.cursor(revision)
                )
                last_answer = time.monotonic()
            if len(events) < endpoint_feed.BATCH:
                await wait(changed, self._poll_seconds)

    async def _newest(self) -> int:
        async with reading(self._store.engine) as db:
            return await endpoint_feed.newest(db)

    async def _events_after(self, owner: str, revision: int) -> tuple[Sequence[EndpointEvent], int]:
        async with reading(self._store.engine) as db:
            return await endpoint_feed.after(db, owner, revision)

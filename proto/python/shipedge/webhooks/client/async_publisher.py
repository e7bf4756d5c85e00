"""
The publisher for asyncio.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from shipedge.webhooks.client.publisher import Publisher
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2


class AsyncPublisher:
    """
    A `Publisher` whose methods do not block the event loop.

        async with AsyncPublisher(Publisher("dispatch.internal:50052", credentials)) as publisher:
            accepted = await publisher.publish(event)
            await accepted
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def publish(self, event: event_pb2.Event) -> asyncio.Future[pb.AcceptedEvent]:
        """
        Take an event, and wait while the memory is full. Errors are those of
        `Publisher.publish`; the end of a wait with `asyncio.timeout` leaves nothing behind.
        """
        loop = asyncio.get_running_loop()
        while (accepted := self._publisher.offer(event)) is None:
            room = asyncio.Event()
            self._publisher.on_room(event, lambda it=room: _wake(loop, it))  # type: ignore[misc]
            await room.wait()
        return asyncio.wrap_future(accepted)

    async def flush(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as the publisher's
        """
        Wait until all events that were published before are answered. Raises `TimeoutError`.
        """
        await asyncio.to_thread(self._publisher.flush, timeout)

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as the publisher's
        """
        Close the publisher. Raises `NotAnsweredError`.
        """
        await asyncio.to_thread(self._publisher.close, timeout)

    async def __aenter__(self) -> AsyncPublisher:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _wake(loop: asyncio.AbstractEventLoop, room: asyncio.Event) -> None:
    # A loop that has ended waits for nothing.
    if not loop.is_closed():
        loop.call_soon_threadsafe(room.set)

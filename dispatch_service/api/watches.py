"""
The log over the wire as it grows.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from dispatch_service.domain.errors import CursorInvalid
from dispatch_service.log import across
from dispatch_service.log.filters import parse_watch_filter
from dispatch_service.log.messages import attempt_message
from dispatch_service.log.url_filters import Hash
from dispatch_service.log.watches import watch
from dispatch_service.log.watches.watch import Mark
from dispatch_service.log.watches.watch_poll import WatchPoll
from dispatch_service.log.whole_urls import whole_urls
from dispatch_service.storage.rows import SettledAttemptRow
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import PageTokens
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.dispatch.v1 import attempt_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncEngine

    from service_runtime.rpc.filters import Comparison

    Context = grpc.aio.ServicerContext[Any, Any]

HEARTBEAT_SECONDS = 5.0
"""
How often a watch sends an answer without attempts.
"""


class WatchMethods:
    """
    The method of `DeliveryService` that streams attempts, and what streams like it share.
    """

    _engine: AsyncEngine
    _keys: DayKeys
    _tokens: PageTokens
    _hashed: Hash
    _watches: WatchPoll

    async def WatchAttempts(
        self, request: pb.WatchAttemptsRequest, context: Context
    ) -> AsyncIterator[pb.WatchAttemptsResponse]:
        """
        Stream the attempts of an owner, or those that fail of all owners, as they end.
        """
        owner = names.parse_parent(request.parent, wildcard=True)
        comparisons = parse_watch_filter(request.filter)
        if names.is_wildcard(owner):
            across.check_attempts(comparisons)
        begin = await self._begin(request)
        async with aclosing(self._settled(owner, comparisons, begin)) as batches:
            async for rows, mark in batches:
                shown = await shielded(self._messages_of(rows))
                cursor = self._tokens.make(mark.key(), request)
                yield pb.WatchAttemptsResponse(attempts=shown, cursor=cursor)

    async def _begin(self, request: pb.WatchAttemptsRequest | pb.ForwardDeliveriesRequest) -> Mark:
        """
        Return where a stream begins: at its cursor, or now. Raises `CursorInvalid`.
        """
        try:
            key = self._tokens.read(request.cursor, request)
        except InvalidArgument:
            raise CursorInvalid(request.DESCRIPTOR.name.removesuffix("Request")) from None
        return await shielded(self._present()) if key is None else watch.mark_of(key)

    async def _present(self) -> Mark:
        return Mark(await watch.horizon(self._engine))

    async def _settled(
        self, owner: str, comparisons: Sequence[Comparison], mark: Mark
    ) -> AsyncGenerator[tuple[Sequence[SettledAttemptRow], Mark]]:
        """
        Yield the attempts after *mark* in batches, each with the mark to go on from; an empty one
        where there was nothing for `HEARTBEAT_SECONDS`.
        """
        spoke = time.monotonic() - HEARTBEAT_SECONDS
        with self._watches.joined(owner) as watcher:
            before = await watcher.first()
            while True:
                rows: Sequence[SettledAttemptRow] = ()
                if watcher.unread:
                    watcher.unread = False
                    rows, mark = await shielded(
                        watch.read(self._engine, owner, comparisons, self._hashed, mark, before)
                    )
                    watcher.unread = watcher.unread or len(rows) == watch.BATCH
                else:
                    mark = watch.passed(mark, before)
                if rows or time.monotonic() - spoke >= HEARTBEAT_SECONDS:
                    yield rows, mark
                    spoke = time.monotonic()
                before = await watcher.next() if len(rows) < watch.BATCH else watcher.final()

    async def _messages_of(
        self, rows: Sequence[SettledAttemptRow]
    ) -> Sequence[attempt_pb2.Attempt]:
        """
        Return the messages of attempts, in their order.
        """
        if not rows:
            return ()
        async with reading(self._engine) as db:
            urls = await whole_urls(db, self._keys.ring, rows)
        return [attempt_message(row, urls) for row in rows]

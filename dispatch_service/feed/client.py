"""
The client of the feed: it follows the stream and acknowledges what was applied.

While the config service is away the service works with the last stored snapshot.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import structlog

from dispatch_service.feed.applier import FeedApplier
from dispatch_service.feed.position import HistoryChangedError
from service_runtime.observability import dispatch_metrics as metrics
from service_runtime.observability.sampled_lines import SampledLines
from service_runtime.process.periodic import being_cancelled
from service_runtime.rpc.status import read_error
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2_grpc,
)
from shipedge.webhooks.feed.v1.feed_service_pb2 import WatchConfigurationRequest

if TYPE_CHECKING:
    Call = grpc.aio.StreamStreamCall[WatchConfigurationRequest, Any]

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

LEAVING_SECONDS = 0.3
"""
How long the stream stays open after the last request: the config service must see its end before
it sees the connection close, which could as well be a break.
"""

HISTORY_DIFFERS = "HISTORY_DIFFERS"
CONNECTION_AGED = "CONNECTION_AGED"
"""
The reason of the config service for a position that is of another history.
"""

log = structlog.get_logger()


def _ignore(_key: bytes) -> None:
    pass


class FeedClient:
    """
    Follows the feed, and goes on where it ended. *replica* is the name of this process;
    *use_link_key* gets the key of portal links.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        applier: FeedApplier,
        *,
        replica: str,
        use_link_key: Callable[[bytes], None] = _ignore,
    ) -> None:
        self._stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        self._applier = applier
        self._replica = replica
        self._use_link_key = use_link_key
        self._pause = FIRST_PAUSE_SECONDS
        self._call: Call | None = None
        self._broken = SampledLines("feed.broken")
        self._connected = False
        self._applied_at = time.monotonic()
        metrics.FEED_CONNECTED.read_with(lambda: float(self._connected))
        metrics.FEED_REVISION.read_with(lambda: applier.position.revision)
        metrics.FEED_LAG_SECONDS.read_with(lambda: time.monotonic() - self._applied_at)

    async def run_once(self) -> None:
        """
        Follow the feed until it ends. An error of the call is logged, all others are raised.
        """
        try:
            async for _ in self.follow():
                self._pause = FIRST_PAUSE_SECONDS
        except HistoryChangedError:
            self._restart(history_changed=True)
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            self._broken.log("CANCELLED", code="CANCELLED", seconds=round(self._pause, 1))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                differs = read_error(error).reason == HISTORY_DIFFERS
                self._restart(history_changed=differs)
            elif read_error(error).reason != CONNECTION_AGED:
                code = error.code().name
                self._broken.log(code, code=code, seconds=round(self._pause, 1))

    def _restart(self, *, history_changed: bool) -> None:
        """
        Begin with a snapshot soon.
        """
        log.warning(
            "feed.history_changed" if history_changed else "feed.restarted",
            revision=self._applier.position.revision,
        )
        metrics.FEED_RESTARTS.add("history_changed" if history_changed else "restarted")
        self._applier.restart()
        self._pause = FIRST_PAUSE_SECONDS

    def next_pause(self) -> float:
        """
        Return how many seconds to wait before the feed is opened again: longer each time, until
        an answer was applied.
        """
        pause = self._pause * (0.5 + random.random())  # noqa: S311 - jitter is no secret
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause

    async def follow(self) -> AsyncIterator[int]:
        """
        Open the feed where the last one ended; yield the revision after each answer applied.
        """
        applier = self._applier
        begin = await applier.begin()
        self._call = call = self._stub.WatchConfiguration()
        try:
            await call.write(
                WatchConfigurationRequest(
                    after_revision=begin.revision,
                    digest=begin.digest,
                    replica=self._replica,
                    request_number=applier.next_number(),
                )
            )
            async for answer in call:
                await applier.apply(answer)
                self._use_link_key(answer.link_key)
                self._connected, self._applied_at = True, time.monotonic()
                revision = applier.position.revision
                if self._call is call and not call.done():
                    await call.write(
                        WatchConfigurationRequest(
                            applied_revision=revision, request_number=applier.next_number()
                        )
                    )
                yield revision
        finally:
            self._connected = False
            call.cancel()

    async def leave(self) -> None:
        """
        Tell the config service that this process matches no more events, so that no answer to a
        change waits for it.
        """
        call, self._call = self._call, None
        if call is not None and not call.done():
            await call.done_writing()
            await asyncio.sleep(LEAVING_SECONDS)

"""
The ends of attempts, written in batches: nothing waits for its own commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from dispatch_service.failpoints import reach
from dispatch_service.queue import Ended, Follow, Queue, Release, Settlement

FLUSH_SECONDS = 0.02
"""
A result waits at most this long for company; until it is committed its
attempt counts as in flight.
"""

BATCH = 500
RETRY_SECONDS = 0.5

log = structlog.get_logger()


def _nobody() -> None:
    """
    Tell nobody.
    """


class Settler:
    """
    Collects settlements and releases and writes them.

    *follow* writes what else follows from settlements, in their transaction.
    `freed` is called when deliveries became due that waited behind others.
    """

    def __init__(self, queue: Queue, follow: Follow | None = None) -> None:
        self._queue = queue
        self._follow = follow
        self.freed: Callable[[], None] = _nobody
        self._settlements: list[Settlement] = []
        self._releases: list[Release] = []
        self._arrived = asyncio.Event()
        self._stopping = False

    def settle(self, settlement: Settlement) -> None:
        """
        Have the end of a lease written soon.
        """
        self._settlements.append(settlement)
        self._arrived.set()

    def release(self, release: Release) -> None:
        """
        Have a lease let go soon.
        """
        self._releases.append(release)
        self._arrived.set()

    async def run(self) -> None:
        """
        Write what comes until `stop` was called and all is written.
        """
        while not (self._stopping and not self._waiting):
            await self._arrived.wait()
            if not self._stopping:
                await asyncio.sleep(FLUSH_SECONDS)
            while self._waiting:
                await self._flush_patiently()
            if not self._stopping:
                self._arrived.clear()

    def stop(self) -> None:
        """
        Let `run` end when all is written.
        """
        self._stopping = True
        self._arrived.set()

    async def flush_once(self) -> int:
        """
        Write one batch of each kind; return how many rows that were.
        """
        settlements, releases = self._settlements[:BATCH], self._releases[:BATCH]
        if settlements:
            ended = await self._queue.settle(settlements, self._follow)
            reach("settle.after_commit")
            del self._settlements[: len(settlements)]
            if len(ended.held) < len(settlements):
                log.warning("delivery.settled_late", count=len(settlements) - len(ended.held))
            self._tell(ended)
        if releases:
            self._tell(await self._queue.release(releases))
            del self._releases[: len(releases)]
        return len(settlements) + len(releases)

    def _tell(self, ended: Ended) -> None:
        if ended.freed:
            self.freed()

    @property
    def _waiting(self) -> int:
        return len(self._settlements) + len(self._releases)

    async def _flush_patiently(self) -> None:
        """
        Keep what could not be written: while the store is away the leases still protect it.
        """
        try:
            await self.flush_once()
        except Exception as error:  # noqa: BLE001 - results must outlive every failure of the store
            log.error(
                "delivery.settle_failed", waiting=self._waiting, error_type=type(error).__name__
            )
            await asyncio.sleep(RETRY_SECONDS)

"""
The ends of attempts, written in batches: nothing waits for its own commit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from dispatch_service.delivery.batches import Lot
from dispatch_service.delivery.recorder import Made, Recorder
from dispatch_service.domain.work import Ended, Release, Settlement
from dispatch_service.queue.protocol import Follow, Queue, Wants
from service_runtime.database.engine import is_unavailable
from service_runtime.process.failpoints import reach

FLUSH_SECONDS = 0.02
"""
A result waits at most this long for company; until it is committed its
attempt counts as in flight.
"""

RETRY_SECONDS = 0.5
REFUSED_SECONDS = 0.05

log = structlog.get_logger()


def _nobody() -> None:
    """
    Tell nobody.
    """


def _always(_settlements: Sequence[Settlement]) -> bool:
    """
    Leave it to those who follow.
    """
    return True


class Settler:
    """
    Collects attempts, other ends of leases and releases, and writes them.

    *follow* writes what else follows from settlements, in their transaction, where *wants*
    says that anything may.
    *unblocked* is called when deliveries became due that waited behind others.
    """

    def __init__(
        self,
        queue: Queue,
        recorder: Recorder,
        follow: Follow | None = None,
        wants: Wants = _always,
        *,
        unblocked: Callable[[], None] = _nobody,
    ) -> None:
        self._queue = queue
        self._recorder = recorder
        self._follow = follow
        self._wants = wants
        self._unblocked = unblocked
        self._ends: Lot[Made | Settlement] = Lot()
        self._releases: Lot[Release] = Lot()
        self._arrived = asyncio.Event()
        self._ends_at: float | None = None

    def settle(self, end: Made | Settlement) -> None:
        """
        Have the end of a lease written soon: an attempt, or what is known without one.
        """
        self._ends.add(end)
        self._arrived.set()

    def release(self, release: Release) -> None:
        """
        Have a lease let go soon.
        """
        self._releases.add(release)
        self._arrived.set()

    async def run(self) -> None:
        """
        Write what comes until `stop` was called and all is written, or its patience is over.
        """
        while self._ends_at is None or self.waiting:
            await self._arrived.wait()
            if self._ends_at is None:
                await asyncio.sleep(FLUSH_SECONDS)
            while self.waiting:
                if not await self._flush_patiently() and self._is_over():
                    log.error("delivery.results_left", waiting=self.waiting)
                    return
            if self._ends_at is None:
                self._arrived.clear()

    def stop(self, patience_seconds: float) -> None:
        """
        Let `run` end when all is written. What the store does not take within the patience
        is left: the leases run out, and the log shows those attempts as interrupted.
        """
        self._ends_at = time.monotonic() + patience_seconds
        self._arrived.set()

    @property
    def waiting(self) -> int:
        """
        How many ends are not written yet.
        """
        return len(self._ends) + len(self._releases)

    async def flush_once(self) -> int:
        """
        Write one batch of each kind; return how many rows that were.
        """
        ends, releases = self._ends.batch(), self._releases.batch()
        if ends:
            with self._ends.writing(ends):
                ended = await self._written(ends)
            reach("settle.after_commit")
            if ended.lost:
                log.warning("delivery.settled_late", count=len(ended.lost))
            self._tell(ended)
        if releases:
            with self._releases.writing(releases):
                ended = await self._queue.release(releases)
            self._tell(ended)
        return len(ends) + len(releases)

    async def _written(self, ends: Sequence[Made | Settlement]) -> Ended:
        made = [it for it in ends if isinstance(it, Made)]
        settlements = [it for it in ends if isinstance(it, Settlement)]
        settlements += await self._recorder.record(made)
        if not settlements:
            return Ended()
        follow = self._follow if self._wants(settlements) else None
        return await self._queue.settle(settlements, follow)

    def _tell(self, ended: Ended) -> None:
        if ended.unblocked:
            self._unblocked()

    def _is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    async def _flush_patiently(self) -> bool:
        """
        Write a batch of each kind; False where the store did not take it, which keeps it:
        while the store is away the leases still protect what became of them.
        """
        try:
            await self.flush_once()
        except Exception as error:  # noqa: BLE001 - results must outlive every failure of the store
            log.error(
                "delivery.settle_failed", waiting=self.waiting, error_type=type(error).__name__
            )
            away = is_unavailable(error)
            await asyncio.sleep(RETRY_SECONDS if away else REFUSED_SECONDS)
            return False
        return True

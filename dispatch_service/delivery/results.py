"""
Writes results of attempts, and leases that end without an attempt, in batches: no result waits
for a commit of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from dispatch_service.delivery.batches import BisectingBatch, InFlight, ItemsSetAside
from dispatch_service.delivery.held_leases import HeldLeases, LeaseEnd
from dispatch_service.delivery.request import webhook_id
from dispatch_service.delivery.send import FinishedAttempt
from dispatch_service.domain.shares import OwnerCounts
from dispatch_service.domain.transitions import Transition, decide
from dispatch_service.domain.work import Claimed, Ended, Release, Settlement
from dispatch_service.log.attempts import attempt_record
from dispatch_service.log.usage import LogUsage
from dispatch_service.queue.observability import measures
from dispatch_service.queue.protocol import HasEffects, OnSettled, Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.faults import is_unavailable
from service_runtime.observability.dispatch_metrics import observe_batch
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog
from service_runtime.process.progress import Progress

FLUSH_SECONDS = 0.02
"""
A result waits at most this long for others; until it is committed its attempt counts as running.
"""

RETRY_SECONDS = 0.5
REFUSED_SECONDS = 0.05
"""
The pause after a failed write: longer where the store does not answer.
"""

NOW = timedelta()

Result = FinishedAttempt | Settlement

log = structlog.get_logger()


def _nobody() -> None:
    pass


def _always(_settlements: Sequence[Settlement]) -> bool:
    return True


class ResultWriter:
    """
    Collects finished attempts, other ends of leases and releases, and writes them.

    *on_settled* writes what else follows from settlements, in their transaction; it is called
    where *has_effects* says that anything may follow. *unblocked* is called when deliveries
    became due that waited behind others. *held* has the leases of the process until they end;
    `unfinished` counts the deliveries that are not. *log_usage* says how much is kept of attempts.
    """

    def __init__(
        self,
        queue: Queue,
        subscriptions: SubscriptionIndex,
        keys: DayKeys,
        on_settled: OnSettled | None = None,
        has_effects: HasEffects = _always,
        *,
        unblocked: Callable[[], None] = _nobody,
        progress: Progress | None = None,
        held: HeldLeases | None = None,
        log_usage: LogUsage | None = None,
    ) -> None:
        self.in_flight = InFlight()
        self.unfinished = OwnerCounts()
        self._queue = queue
        self._subscriptions = subscriptions
        self._keys = keys
        self._log_usage = LogUsage() if log_usage is None else log_usage
        self._on_settled = on_settled
        self._has_effects = has_effects
        self._unblocked = unblocked
        self._arrived = asyncio.Event()
        self._held = HeldLeases() if held is None else held
        # What is set aside stays in hand: it is known here, so it is not attempted again.
        self._aside: ItemsSetAside[Result] = ItemsSetAside(self._arrived.set)
        self._results: BisectingBatch[Result] = BisectingBatch(self._aside.add)
        self._releases: BisectingBatch[Release] = BisectingBatch(lambda it: self.drop(it.claimed))
        self._stop_at: float | None = None
        self._failures = FailureLog("delivery.settle_failed")
        self._errors = FailureLog("delivery.attempt_error")
        self.progress = progress or Progress("results")
        self.progress.wake = self._arrived.set

    def settle(self, result: Result) -> None:
        """
        Have the end of a lease written soon: an attempt, or what is known without one.
        """
        self._results.items.append(result)
        self._arrived.set()

    def release(self, release: Release) -> None:
        """
        Have a lease released soon.
        """
        self._releases.items.append(release)
        self._arrived.set()

    def drop(self, claimed: Claimed) -> None:
        """
        Let a lease run out, whose attempt came to no result.
        """
        self._held.end(claimed, LeaseEnd.DROPPED)

    async def run(self) -> None:
        """
        Write what comes until `stop` was called and all is written, or its time is over.
        """
        while self._stop_at is None or self.waiting:
            await self._arrived.wait()
            if self._stop_at is None:
                await asyncio.sleep(FLUSH_SECONDS)
            if not self.waiting:
                await self.progress.beat()
            while self.waiting:
                if not await self._try_flush() and self._is_over():
                    log.error("delivery.results_left", waiting=self.unwritten)
                    return
            if self._aside.is_due:
                with self._failures.isolated(waiting=self.unwritten):
                    await self._aside.write(self._write)
            if self._stop_at is None:
                self._arrived.clear()

    def stop(self, seconds: float) -> None:
        """
        Let `run` end when all is written. What the store does not take within so many seconds
        is left: the leases run out, and the log shows those attempts as interrupted.
        """
        self._results.items += self._aside.take_all()
        self._stop_at = time.monotonic() + seconds
        self._arrived.set()

    @property
    def waiting(self) -> int:
        """
        How many results and releases are not written yet.
        """
        return len(self._results.items) + len(self._releases.items)

    @property
    def unwritten(self) -> int:
        """
        How many results and releases are not written, with those that the store has refused.
        """
        return self.waiting + len(self._aside)

    async def flush_once(self) -> int:
        """
        Write one batch of each kind; return how many results and releases that were. Raises
        what the store raises.
        """
        written = 0
        if self._results.items:
            written += await self._write_results()
        if self._releases.items:
            written += await self._write_releases()
        return written

    async def _write_results(self) -> int:
        with self._results.next_batch() as results:
            await self._write(results)
        return len(results)

    async def _write(self, results: Sequence[Result]) -> None:
        attempts = [it for it in results if isinstance(it, FinishedAttempt)]
        settlements = [it for it in results if isinstance(it, Settlement)]
        settlements += await self._settlements(attempts)
        on_settled = self._on_settled if self._has_effects(settlements) else None
        started = time.monotonic()
        with self.in_flight.work():
            ended = await self._queue.settle(settlements, on_settled) if settlements else Ended()
        reach("settle.after_commit")
        measures.observe_results(settlements, started)
        ends = [it for it in settlements if measures.ends(it)]
        measures.observe(settlements, ends, ended.lost)
        self._log_usage.add(settlements)
        self.unfinished.remove([it.claimed.owner for it in ends])
        self._held.end_all([it.claimed for it in results], LeaseEnd.SETTLED)
        if ended.lost:
            log.warning("delivery.settled_late", count=len(ended.lost))
        # A request under which the connection was lost is repeated at once.
        if ended.unblocked or any(it.transition.delay == NOW for it in settlements):
            self._unblocked()

    async def _write_releases(self) -> int:
        started = time.monotonic()
        with self._releases.next_batch() as releases:
            ended = await self._queue.release(releases)
        observe_batch("release", len(releases), started)
        self._held.end_all([it.claimed for it in releases], LeaseEnd.RELEASED)
        if ended.unblocked:
            self._unblocked()
        return len(releases)

    async def _settlements(self, attempts: Sequence[FinishedAttempt]) -> Sequence[Settlement]:
        """
        Return what ends the leases of attempts. Raises what `DayKeys.today` raises.
        """
        if not attempts:
            # Without an attempt nothing is sealed, so a missing key holds no result back.
            return ()
        sealer = await self._keys.today()
        self._log_usage.begin_day(sealer.day)
        try:
            return self._settled(attempts, sealer)
        except Exception:  # noqa: BLE001 - a bug; which attempt it concerns is seen one by one
            return [it for attempt in attempts for it in self._settled_alone(attempt, sealer)]

    def _settled(self, attempts: Sequence[FinishedAttempt], sealer: Sealer) -> list[Settlement]:
        """
        Decide and record, each step for all attempts before the next one: its code stays in the
        processor's caches (ADR 22).
        """
        transitions = [self._decide(it) for it in attempts]
        return [
            Settlement(
                attempt.claimed,
                transition,
                attempt_record(
                    attempt.claimed,
                    attempt.subscription,
                    attempt.outcome,
                    sealer,
                    start_time=attempt.start_time,
                    request_headers=attempt.shown_headers,
                    ends=transition.delay is None,
                    log_is_full=self._log_usage.is_full(attempt.claimed.owner),
                ),
                attempt.outcome.status_code,
                attempt.waited,
                attempt.seconds,
            )
            for attempt, transition in zip(attempts, transitions, strict=True)
        ]

    def _settled_alone(self, attempt: FinishedAttempt, sealer: Sealer) -> Sequence[Settlement]:
        try:
            return self._settled([attempt], sealer)
        except Exception as error:  # noqa: BLE001 - a bug
            # Left out: its lease runs out, it is attempted again, and fails as poison if this
            # goes on. Nothing else can be done with an attempt that cannot be written down.
            self._errors.log(error, delivery=webhook_id(attempt.claimed))
            self.drop(attempt.claimed)
            return ()

    def _decide(self, attempt: FinishedAttempt) -> Transition:
        claimed = attempt.claimed
        return decide(
            attempt.outcome,
            state=claimed.state,
            retries_used=claimed.retries_used,
            # Somebody waits for the result of a test, so it is not tried again for days.
            schedule=() if claimed.test else self._subscriptions.schedule_of(attempt.subscription),
            time_left=claimed.time_left,
            age=claimed.age,
            chance=random.random(),  # noqa: S311 - jitter is no secret
            last_failure=claimed.last_failure,
        )

    def _is_over(self) -> bool:
        return self._stop_at is not None and time.monotonic() >= self._stop_at

    async def _try_flush(self) -> bool:
        """
        Write a batch of each kind; False if that failed, after a pause.

        What was not written stays: until its lease ends nobody else attempts the delivery.
        """
        try:
            await self.flush_once()
        except Exception as error:  # noqa: BLE001 - results must outlive every failure of the store
            self._failures.log(error, waiting=self.unwritten)
            self.progress.failed(error)
            await asyncio.sleep(RETRY_SECONDS if is_unavailable(error) else REFUSED_SECONDS)
            return False
        self.progress.through()
        return True

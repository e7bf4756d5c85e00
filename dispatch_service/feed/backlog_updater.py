"""
The loop that applies recorded backlog updates to deliveries, 100 in a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from dispatch_service.domain.transitions import State
from dispatch_service.feed import backlog_statements, backlog_updates
from dispatch_service.feed.backlog_updates import Progress, RecordedUpdate, Status
from dispatch_service.queue import sequences
from dispatch_service.queue.observability.measures import count_end
from dispatch_service.queue.sequences import SequenceKey
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 100
"""
How many deliveries one transaction changes: more would delay results and claims for longer.
"""

SEQUENCES = 50
"""
How many sequences one transaction looks at.
"""

TURN = 10_000
"""
How many deliveries of a subscription are changed before the next subscription has its turn.
"""

PAUSE_SECONDS = 0.01
"""
How long results and claims have the database to themselves between two batches.
"""

MARGIN = timedelta(seconds=15)
"""
What is added to the time of a lease, for changes that other processes learn later.
"""


class BacklogUpdater:
    """
    Applies recorded updates. Several processes may do so at a time.

    A process that holds a lease and does not know the change yet may still suspend a delivery
    that should be due. So each update is applied again when no lease from before it is left.
    *became_due* is called when deliveries may have become due.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        lease: timedelta,
        became_due: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._again_after = lease + MARGIN
        self._became_due = became_due
        self._failures = FailureLog("backlog_update.failed")

    async def run_once(self) -> int:
        """
        Give every subscription a turn; return how many deliveries were changed.

        One that fails has its next turn in the next round, and does not delay the others.
        """
        async with reading(self._engine) as db:
            updates = await backlog_updates.due(db)
        ended, total = [], 0
        for recorded in updates:
            with self._failures.isolated(subscription=recorded.update.subscription):
                progress = await self._apply(recorded)
                total += progress.changed
                if progress.status is not Status.MORE:
                    ended.append(recorded)
        if ended:
            await self._end(ended)
        return total

    async def _apply(self, recorded: RecordedUpdate) -> Progress:
        """
        Apply an update, as far as a turn goes.
        """
        progress = Progress(0, Status.DONE)
        if recorded.update.ends_sequences:
            progress = await self._end_sequences(recorded)
        if progress.status is Status.DONE:
            changed = await self._change_deliveries(recorded)
            progress = Progress(progress.changed + changed.changed, changed.status)
        return progress

    async def _end_sequences(self, recorded: RecordedUpdate) -> Progress:
        """
        Empty the sequences of a subscription.
        """
        update, changed = recorded.update, 0
        while changed < TURN:
            async with reading(self._engine) as db:
                keys = await sequences.find(db, update.owner, update.subscription, SEQUENCES)
            if not keys:
                return Progress(changed, Status.DONE)
            batch = await self._empty(recorded, keys)
            self._count(recorded, batch)
            if batch.status is Status.SUPERSEDED:
                return Progress(changed, Status.SUPERSEDED)
            changed += batch.changed
            await self._pause()
        return Progress(changed, Status.MORE)

    async def _change_deliveries(self, recorded: RecordedUpdate) -> Progress:
        """
        Change the deliveries that are in no sequence, or stay in theirs.
        """
        async with reading(self._engine) as db:
            ids = await backlog_statements.find(db, recorded.update, TURN)
        changed = 0
        for start in range(0, len(ids), BATCH):
            batch = await self._change(recorded, ids[start : start + BATCH])
            self._count(recorded, batch)
            if batch.status is Status.SUPERSEDED:
                return Progress(changed, Status.SUPERSEDED)
            changed += batch.changed
            await self._pause()
        return Progress(changed, Status.MORE if ids else Status.DONE)

    def _count(self, recorded: RecordedUpdate, batch: Progress) -> None:
        if batch.cancelled:
            kind = backlog_statements.failure_kind(recorded.update)
            count_end(State.CANCELLED, kind, batch.cancelled)

    @retry_on_conflict
    async def _empty(self, recorded: RecordedUpdate, keys: Sequence[SequenceKey]) -> Progress:
        async with writing(self._engine) as db:
            return await backlog_statements.end_sequences(db, recorded, keys, BATCH)

    @retry_on_conflict
    async def _change(self, recorded: RecordedUpdate, delivery_ids: Sequence[str]) -> Progress:
        async with writing(self._engine) as db:
            return await backlog_statements.change(db, recorded, delivery_ids)

    async def _pause(self) -> None:
        self._became_due()
        await asyncio.sleep(PAUSE_SECONDS)

    @retry_on_conflict
    async def _end(self, ended: Sequence[RecordedUpdate]) -> None:
        async with writing(self._engine) as db:
            # In the order in which others record them.
            for recorded in sorted(ended, key=lambda recorded: recorded.update.key):
                until = recorded.create_time + self._again_after
                if recorded.now < until:
                    await backlog_updates.postpone(db, recorded, until)
                else:
                    await backlog_updates.delete(db, recorded)

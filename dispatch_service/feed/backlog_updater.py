"""
Lets backlog_updates come true, batch by batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from dispatch_service.feed import backlog_update_steps, backlog_updates
from dispatch_service.feed.backlog_updates import RecordedUpdate
from dispatch_service.queue import sequences
from dispatch_service.queue.sequences import SequenceKey
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 100
"""
How many deliveries are moved in one transaction: more hold everybody else up for longer.
"""

LANES = 50
"""
How many order lanes are looked at in one transaction.
"""

TURN = 10_000
"""
How many deliveries of a subscription are moved before it is another's turn.
"""

BREATH_SECONDS = 0.01
"""
How long results and claims have the database to themselves between two batches.
"""

MARGIN = timedelta(seconds=15)
"""
What is added to the time of a lease, for changes that other processes learn later.
"""


class BacklogUpdater:
    """
    Works off what was recorded. Several processes may do so at a time.

    Who holds a lease and does not know of a change yet may still suspend what is to be due.
    So everything is looked at again when no lease from before the change is left.
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

        One that fails has its next turn in the next round, and holds no other up.
        """
        async with reading(self._engine) as db:
            found = await backlog_updates.due(db)
        done, total = [], 0
        for recorded in found:
            with self._failures.isolated(subscription=recorded.update.subscription):
                changed = await self._turn(recorded)
                if changed is None:
                    done.append(recorded)
                else:
                    total += changed
        if done:
            await self._end(done)
        return total

    async def _turn(self, recorded: RecordedUpdate) -> int | None:
        """
        Change a part of what waits for a subscription; return how much, None if nothing is
        left to be done, or another update counts.
        """
        changed = await self._end_sequences(recorded) if recorded.update.ends_sequences else 0
        if changed is None or changed >= TURN:
            return changed
        async with reading(self._engine) as db:
            ids = await backlog_update_steps.find(db, recorded.update, TURN)
        for start in range(0, len(ids), BATCH):
            count = await self._move(recorded, ids[start : start + BATCH])
            if count is None:
                return None
            changed += count
            await self._breathe()
        return changed if changed or ids else None

    async def _end_sequences(self, recorded: RecordedUpdate) -> int | None:
        """
        Empty the lanes of a subscription, as far as a turn goes; return of how many deliveries,
        None where another update counts.
        """
        update, changed = recorded.update, 0
        while changed < TURN:
            async with reading(self._engine) as db:
                lanes = await sequences.find(db, update.owner, update.subscription, LANES)
            if not lanes:
                break
            count = await self._empty(recorded, lanes)
            if count is None:
                return None
            changed += count
            await self._breathe()
        return changed

    @retry_on_conflict
    async def _empty(self, recorded: RecordedUpdate, lanes: Sequence[SequenceKey]) -> int | None:
        async with writing(self._engine) as db:
            return await backlog_update_steps.end_sequences(db, recorded, lanes, BATCH)

    @retry_on_conflict
    async def _move(self, recorded: RecordedUpdate, delivery_ids: Sequence[str]) -> int | None:
        async with writing(self._engine) as db:
            return await backlog_update_steps.move(db, recorded, delivery_ids)

    async def _breathe(self) -> None:
        self._became_due()
        await asyncio.sleep(BREATH_SECONDS)

    @retry_on_conflict
    async def _end(self, done: Sequence[RecordedUpdate]) -> None:
        async with writing(self._engine) as db:
            # In the order in which others note them.
            for recorded in sorted(done, key=lambda it: it.update.key):
                until = recorded.create_time + self._again_after
                if recorded.now < until:
                    await backlog_updates.postpone(db, recorded, until)
                else:
                    await backlog_updates.forget(db, recorded)

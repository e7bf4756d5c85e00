"""
Lets wishes come true, batch by batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from dispatch_service.feed import backlog_update_steps, backlog_updates
from dispatch_service.feed.backlog_updates import Noted
from dispatch_service.queue import sequences
from dispatch_service.queue.sequences import LaneKey
from service_runtime.database.conflicts import again
from service_runtime.database.engine import is_unavailable, reading, writing
from service_runtime.process.periodic import Rounds

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

log = structlog.get_logger()


def _nobody() -> None:
    """
    Tell nobody.
    """


class WishRunner:
    """
    Works off what was noted. Several processes may do so at a time.

    Who holds a lease and does not know of a change yet may still park what is to be due.
    So everything is looked at again when no lease from before the change is left.
    `moved` is called when deliveries may have become due.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        lease: timedelta,
        *,
        poll_seconds: float,
        moved: Callable[[], None] = _nobody,
    ) -> None:
        self._engine = engine
        self._again_after = lease + MARGIN
        self._moved = moved
        self._rounds = Rounds(self.run_once, pause_seconds=poll_seconds, failure="wish.failed")

    def look_soon(self) -> None:
        """
        Look at what was noted without waiting for the next turn.
        """
        self._rounds.go_soon()

    async def run(self) -> None:
        """
        Work for ever: at once again while there is much, else every poll interval.
        """
        await self._rounds.run()

    async def run_once(self) -> int:
        """
        Give every subscription a turn; return how many deliveries were changed.

        One that fails has its next turn in the next round, and holds no other up.
        """
        async with reading(self._engine) as db:
            found = await backlog_updates.due(db)
        done, total = [], 0
        for noted in found:
            try:
                changed = await self._turn(noted)
            except Exception as error:
                if is_unavailable(error):
                    raise
                log.error("wish.failed", error_type=type(error).__name__)
                continue
            if changed is None:
                done.append(noted)
            else:
                total += changed
        if done:
            await self._end(done)
        return total

    async def _turn(self, noted: Noted) -> int | None:
        """
        Change a part of what waits for a subscription; return how much, None if nothing is
        left to be done, or another wish counts.
        """
        changed = await self._end_lanes(noted) if noted.wish.ends_lanes else 0
        if changed is None or changed >= TURN:
            return changed
        async with reading(self._engine) as db:
            ids = await backlog_update_steps.find(db, noted.wish, TURN)
        for start in range(0, len(ids), BATCH):
            count = await self._move(noted, ids[start : start + BATCH])
            if count is None:
                return None
            changed += count
            await self._breathe()
        return changed if changed or ids else None

    async def _end_lanes(self, noted: Noted) -> int | None:
        """
        Empty the lanes of a subscription, as far as a turn goes; return of how many deliveries,
        None where another wish counts.
        """
        wish, changed = noted.wish, 0
        while changed < TURN:
            async with reading(self._engine) as db:
                lanes = await sequences.find(db, wish.owner, wish.subscription, LANES)
            if not lanes:
                break
            count = await self._empty(noted, lanes)
            if count is None:
                return None
            changed += count
            await self._breathe()
        return changed

    @again
    async def _empty(self, noted: Noted, lanes: Sequence[LaneKey]) -> int | None:
        async with writing(self._engine) as db:
            return await backlog_update_steps.end_lanes(db, noted, lanes, BATCH)

    @again
    async def _move(self, noted: Noted, delivery_ids: Sequence[str]) -> int | None:
        async with writing(self._engine) as db:
            return await backlog_update_steps.move(db, noted, delivery_ids)

    async def _breathe(self) -> None:
        self._moved()
        await asyncio.sleep(BREATH_SECONDS)

    @again
    async def _end(self, done: Sequence[Noted]) -> None:
        async with writing(self._engine) as db:
            # In the order in which others note them.
            for noted in sorted(done, key=lambda it: it.wish.key):
                until = noted.create_time + self._again_after
                if noted.now < until:
                    await backlog_updates.postpone(db, noted, until)
                else:
                    await backlog_updates.forget(db, noted)

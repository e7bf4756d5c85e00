"""
Lets wishes come true, batch by batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from dispatch_service import order_lanes, wish_steps, wishes
from dispatch_service.rounds import Rounds
from dispatch_service.wishes import Noted
from shipedge.webhooks.runtime.database import reading, writing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 100
"""
How many deliveries are moved in one transaction: more hold everybody else up for longer.
"""

LANES = 100
"""
How many order lanes are ended in one transaction.
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
        Give every subscription a turn; return how many lanes and deliveries were changed.
        """
        async with reading(self._engine) as db:
            found = await wishes.due(db)
        done, total = [], 0
        for noted in found:
            changed = await self._turn(noted)
            if changed is None:
                done.append(noted)
            else:
                total += changed
        if done:
            await self._end(done)
        return total

    async def _turn(self, noted: Noted) -> int | None:
        """
        Change a part of what waits for a subscription; return how much, None if nothing is left.
        """
        ended = await self._end_lanes(noted) if noted.wish.ends_lanes else 0
        async with reading(self._engine) as db:
            ids = await wish_steps.find(db, noted.wish, TURN)
        moved = 0
        for start in range(0, len(ids), BATCH):
            async with writing(self._engine) as db:
                count = await wish_steps.move(db, noted, ids[start : start + BATCH])
            if count is None:
                return ended + moved
            moved += count
            await self._breathe()
        return ended + moved if ended or ids else None

    async def _end_lanes(self, noted: Noted) -> int:
        """
        End the lanes of a subscription, a bounded number in a turn; return how many.
        """
        wish = noted.wish
        async with reading(self._engine) as db:
            lanes = await order_lanes.find(db, wish.owner, wish.subscription, TURN)
        for start in range(0, len(lanes), LANES):
            async with writing(self._engine) as db:
                if not await wish_steps.end_lanes(db, noted, lanes[start : start + LANES]):
                    return start
            await self._breathe()
        return len(lanes)

    async def _breathe(self) -> None:
        self._moved()
        await asyncio.sleep(BREATH_SECONDS)

    async def _end(self, done: list[Noted]) -> None:
        async with writing(self._engine) as db:
            for noted in done:
                until = noted.create_time + self._again_after
                if noted.now < until:
                    await wishes.postpone(db, noted, until)
                else:
                    await wishes.forget(db, noted)

"""
Parks what waits for Inactive subscriptions and makes it due again, batch by batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from dispatch_service import parking_store
from dispatch_service.parking_store import Noted
from shipedge.webhooks.runtime.database import reading, writing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 500
"""
How many deliveries are moved in one transaction.
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


class Parker:
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
        self._poll_seconds = poll_seconds
        self._moved = moved
        self._wanted = asyncio.Event()

    def look_soon(self) -> None:
        """
        Look at what was noted without waiting for the next turn.
        """
        self._wanted.set()

    async def run(self) -> None:
        """
        Work for ever: at once again while there is much, else every poll interval.
        """
        while True:
            self._wanted.clear()
            moved = 0
            try:
                moved = await self.run_once()
            except Exception as error:  # noqa: BLE001 - the store may be back at the next turn
                log.error("parking.failed", error_type=type(error).__name__)
            if moved == 0:
                await self._pause()

    async def run_once(self) -> int:
        """
        Give every subscription a turn; return how many deliveries were moved.
        """
        async with reading(self._engine) as db:
            found = await parking_store.due(db)
        done, total = [], 0
        for noted in found:
            moved = await self._turn(noted)
            if moved is None:
                done.append(noted)
            else:
                total += moved
        if done:
            await self._end(done)
        return total

    async def _turn(self, noted: Noted) -> int | None:
        """
        Move a part of what waits for a subscription; return how much, None if nothing is left.
        """
        async with reading(self._engine) as db:
            ids = await parking_store.find(db, noted.wish, TURN)
        moved = 0
        for start in range(0, len(ids), BATCH):
            async with writing(self._engine) as db:
                count = await parking_store.move(db, noted, ids[start : start + BATCH])
            if count is None:
                return moved
            moved += count
            self._moved()
            await asyncio.sleep(BREATH_SECONDS)
        return moved if ids else None

    async def _end(self, done: list[Noted]) -> None:
        async with writing(self._engine) as db:
            for noted in done:
                until = noted.create_time + self._again_after
                if noted.now < until:
                    await parking_store.postpone(db, noted, until)
                else:
                    await parking_store.forget(db, noted)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass

"""
How many unfinished deliveries are in which state, for metrics.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.transitions import State, WaitReason
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

COUNT_SECONDS = 15.0
COUNT_SHARE = 200
"""
Counting takes at most a two-hundredth of the time: it reads the rows, not an index alone.
"""

MOST_ROWS = 1_000_000
"""
How many rows a count reads: a few seconds of the database's time.
"""


DELIVERING = State.DELIVERING.value.lower()


class QueueStates:
    """
    Counts from time to time. *by_state* has the numbers of the last count: those that are being
    attempted under `delivering`, all others by the reason why they wait.
    """

    def __init__(self, engine: AsyncEngine, *, most_rows: int = MOST_ROWS) -> None:
        self.by_state: Mapping[tuple[str, ...], float] = _all_states({})
        self._engine = engine
        self._most_rows = most_rows
        self._took = 0.0

    def pause_seconds(self) -> float:
        """
        Return how long to wait before the next count.
        """
        return max(COUNT_SECONDS, self._took * COUNT_SHARE)

    async def count(self) -> None:
        """
        Count anew.
        """
        started = time.monotonic()
        try:
            async with reading(self._engine) as db:
                counted = (await db.execute(_counted(self._most_rows))).all()
        finally:
            self._took = time.monotonic() - started
        self.by_state = _all_states({(state,): float(count) for state, count in counted})


def _all_states(counted: Mapping[tuple[str, ...], float]) -> Mapping[tuple[str, ...], float]:
    return {(state,): 0.0 for state in (DELIVERING, *WaitReason)} | dict(counted)


def _counted(most: int) -> sa.Select[str, int]:
    columns = deliveries.c
    # One that waits for no other reason waits for a free slot.
    state = sa.case(
        (columns.lease_owner.is_not(None), DELIVERING),
        else_=sa.func.coalesce(columns.wait_reason, WaitReason.BACKLOG.value),
    )
    some = sa.select(state.label("state")).where(columns.end_time.is_(None)).limit(most).subquery()
    return sa.select(some.c.state, sa.func.count()).group_by(some.c.state)

"""
The positions of processes in the feed, on both databases.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.intake import match_positions as positions
from dispatch_service.intake.match_positions import FeedPosition
from dispatch_service.storage.schema import feed_positions
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from tests.support.running_intake import count

pytestmark = pytest.mark.anyio

LONG_AGO = timedelta(days=1)


async def test_new_process_knows_what_another_knew(store: AsyncEngine) -> None:
    """
    A process that begins with a stored revision knows the time up to which another one knew all
    changes with that revision or an earlier one.
    """
    async with store.connect() as db:
        time = (await db.execute(sa.select(after(-LONG_AGO)))).scalar_one()
    async with writing(store) as db:
        await positions.store(db, "old", FeedPosition(3, time, timedelta(seconds=-2)))
        await positions.store(db, "ahead", FeedPosition(9, time + LONG_AGO, timedelta()))
        began = await positions.begin(db, "new", FeedPosition(5))
        (new, *_) = [it for it in await positions.left(db, "", timedelta()) if it.name == "new"]

    assert began == new.position == FeedPosition(5, time, timedelta(seconds=-2))


async def test_position_that_is_written_again_is_kept(store: AsyncEngine) -> None:
    """
    A process that was only slow keeps its position when another one takes over from it.
    """
    async with writing(store) as db:
        await positions.store(db, "slow", FeedPosition(3))
    async with writing(store) as db:
        found = await positions.left(db, "here", timedelta())
    await asyncio.sleep(0.002)
    async with writing(store) as db:
        await positions.store(db, "slow", FeedPosition(4))
        await positions.drop(db, found)

    assert await count(store, feed_positions) == 1

"""
Transactions that meet: the tests hold what another transaction needs until it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.feed import backlog_updates
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.feed.backlog_updates import BacklogUpdate
from service_runtime.database.engine import writing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_WAITING = sa.text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


async def changed(
    store: AsyncEngine, change: Callable[..., Awaitable[Any]], *values: object
) -> Any:
    """
    Change something in a transaction of its own.
    """
    async with writing(store) as db:
        return await change(db, *values)


async def record_and_apply(store: AsyncEngine, update: BacklogUpdate) -> None:
    """
    Record an update and apply it.
    """
    await changed(store, backlog_updates.record, [update])
    runner = BacklogUpdater(store, timedelta(minutes=5), lambda: None)
    while await runner.run_once():
        pass


async def settle_down(store: AsyncEngine, *tasks: asyncio.Task[Any]) -> None:
    """
    Wait until each of *tasks* has ended or waits for a lock; on SQLite all of them
    wait for the one writer, who is the caller.
    """
    if store.dialect.name == "sqlite":
        await asyncio.sleep(0)
        return
    async with asyncio.timeout(30):
        while await _waiting(store) < sum(not it.done() for it in tasks):
            await asyncio.sleep(0.01)


async def _waiting(store: AsyncEngine) -> int:
    async with store.connect() as db:
        return int((await db.execute(_WAITING)).scalar_one())

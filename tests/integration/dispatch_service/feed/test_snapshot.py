"""
The stored snapshot, which every process of a database writes.
"""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.feed import snapshot
from dispatch_service.feed.position import Position
from service_runtime.database.engine import reading, writing
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.failures import FailureLog
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 30.0
RING = KeyRing({"test": b"k" * 32}, b"h" * 32)


def change(revision: int) -> feed_service_pb2.FeedChange:
    """
    Make a change of an account's settings.
    """
    made = feed_service_pb2.FeedChange(revision=revision)
    made.owner_settings.name = "accounts/100/settings"
    return made


async def apply(store: AsyncEngine, revision: int) -> None:
    """
    Store a change, as the feed client does.
    """
    async with writing(store) as db:
        await snapshot.store_changes(db, [change(revision)], RING, lambda _: "")
        await snapshot.store_position(db, Position(revision, b"digest"))


async def waits(store: AsyncEngine) -> None:
    """
    Wait until a session waits for another's lock.
    """
    if store.dialect.name == "sqlite":
        return  # There the processes' one lock is in memory.
    query = sa.text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND (database IS NULL OR database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with reading(store) as db:
                if (await db.execute(query)).scalar_one():
                    return
            await asyncio.sleep(0.02)


async def test_processes_store_the_same_change_in_turn(store: AsyncEngine) -> None:
    """
    All get a change at once; the one that comes second waits, and neither fails.
    """
    async with writing(store) as db:
        await snapshot.store_changes(db, [change(1)], RING, lambda _: "")
        await snapshot.store_position(db, Position(1, b"digest"))
        second = asyncio.create_task(apply(store, 1))
        await waits(store)
    await second

    assert await snapshot.stored_position(store) == Position(1, b"digest")
    loaded = [it async for it in snapshot.load(store, RING, FailureLog("feed.item_set_aside"))]
    assert [it.name for it in loaded] == ["accounts/100/settings"]


async def test_snapshot_is_read_in_parts(
    store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Each resource is read once, wherever a part ends.
    """
    monkeypatch.setattr(snapshot, "_LOADED", 3)
    for count in (2, 3, 6, 7):
        names = [f"accounts/{n}/settings" for n in range(count)]
        changes = []
        for name in names:
            changes.append(change(1))
            changes[-1].owner_settings.name = name
        async with writing(store) as db:
            await snapshot.store_changes(db, changes, RING, lambda _: "")

        loaded = [
            it.name async for it in snapshot.load(store, RING, FailureLog("feed.item_set_aside"))
        ]
        assert loaded == names

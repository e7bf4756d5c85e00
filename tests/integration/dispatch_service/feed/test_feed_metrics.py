"""
What metrics say of the feed, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.dispatch_service.feed.test_client import (
    PATIENCE_SECONDS,
    Answer,
    Feed,
    client_of,
    closing,
)
from tests.support.figures import figure, moved

pytestmark = pytest.mark.anyio


async def test_metrics_show_whether_the_feed_is_open(store: AsyncEngine) -> None:
    """
    It counts as open once it has answered, until it ends; the revision stays.
    """
    feed = Feed([Answer(revision=3, snapshot_complete=True), Answer(revision=3)])

    async with asyncio.timeout(PATIENCE_SECONDS), client_of(store, feed) as client:
        assert figure("webhooks_feed_connected") == 0
        async with closing(client) as revisions:
            await anext(revisions)
            assert figure("webhooks_feed_connected") == 1
        assert figure("webhooks_feed_connected") == 0
        assert figure("webhooks_feed_revision") == 3
        assert 0 <= figure("webhooks_feed_lag_seconds") < PATIENCE_SECONDS


async def test_metrics_count_why_the_feed_begins_anew(store: AsyncEngine) -> None:
    """
    Another history than before is the restore of a database.
    """
    feed = Feed([Answer(revision=3, digest=b"a", snapshot_complete=True), Answer(revision=2)])
    feed.may_go_on.set()

    with moved("webhooks_feed_restarts_total", reason="history_changed") as restarts:
        async with asyncio.timeout(PATIENCE_SECONDS), client_of(store, feed) as client:
            await client.run_once()

    assert restarts() == 1

"""
Events that are accepted before the first snapshot of the subscriptions.
"""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.intake.late_match import Matcher
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import deliveries
from tests.support.dispatch_factories import LEASE, subscription
from tests.support.running_intake import RunningIntake, count, shipped

pytestmark = pytest.mark.anyio


async def test_events_before_a_snapshot_are_matched_later(
    intake: RunningIntake, store: AsyncEngine, queue: Queue
) -> None:
    """
    Without a snapshot events are accepted; with one they are matched, oldest first.
    """
    index = intake.subscriptions
    matcher = Matcher(store, queue, intake.keys, index, LEASE)
    index.received = index.complete = False
    await intake.accept(shipped("early-1"))
    await intake.accept(shipped("early-2"))
    assert await matcher.drain() == 0
    assert await count(store, deliveries) == 0

    index.put(subscription())
    index.received = True
    assert await matcher.drain() == 2

    assert index.complete
    assert await count(store, deliveries) == 2
    await intake.accept(shipped("later"))
    assert await count(store, deliveries) == 3

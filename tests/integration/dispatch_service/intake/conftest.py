"""
An intake without faults.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.queue.protocol import Queue
from tests.support.running_intake import RunningIntake, running_intake


@pytest.fixture
async def intake(store: AsyncEngine, queue: Queue) -> AsyncIterator[RunningIntake]:
    """
    Yield a running intake on the database.
    """
    async with running_intake(store, queue) as intake:
        yield intake

"""
Parking what an Inactive subscription waits for, unless the subscription has changed
since that was decided: it may be Active again, and nobody would look at it for days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.work import Claimed, Release
from dispatch_service.queue.lock_order import by_key
from dispatch_service.storage.schema import feed_resources
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

AGAIN = timedelta(seconds=1)
"""
When a delivery is looked at again whose subscription has changed.
"""


async def checked(db: AsyncConnection, releases: Sequence[Release]) -> list[Release]:
    """
    Return *releases* with those that may not be parked any more due soon instead.
    """
    parked = sorted({_subscription(it.claimed) for it in releases if it.delay is None})
    revisions = await _revisions(db, parked) if parked else {}
    return [
        Release(it.claimed, AGAIN) if it.delay is None and _changed(it, revisions) else it
        for it in releases
    ]


def _changed(release: Release, revisions: Mapping[str, int]) -> bool:
    return revisions.get(_subscription(release.claimed), 0) > release.revision


async def _revisions(db: AsyncConnection, wanted_names: Sequence[str]) -> dict[str, int]:
    columns = feed_resources.c
    wanted = columns.name.in_(wanted_names)
    # A change that is being stored is waited for; the next one waits for us and finds what we park.
    held = sa.select(columns.name).where(wanted).order_by(*by_key(feed_resources))
    await db.execute(held.with_for_update(read=True))
    # What was waited for is a new row, which only a new statement sees.
    rows = await db.execute(sa.select(columns.name, columns.revision).where(wanted))
    return {row.name: row.revision for row in rows}


def _subscription(claimed: Claimed) -> str:
    return names.subscription(claimed.owner, claimed.subscription)

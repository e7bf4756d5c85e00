"""
Releasing leases. A delivery is suspended only if its subscription has not changed since that
was decided: the subscription may be Active again, and the delivery would wait until it expires.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.work import Claimed, Ended, Release, Requeue, Suspend
from dispatch_service.queue.lock_order import by_key
from dispatch_service.storage.schema import feed_resources
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

AGAIN = timedelta(seconds=1)
"""
When a delivery is due again that may not be suspended.
"""

SuspendAll = Callable[[Sequence[Suspend]], Awaitable[tuple[Ended, list[Suspend]]]]
"""
Suspends deliveries in a transaction; returns what came of it, and what may not be suspended.
"""

RequeueAll = Callable[[Sequence[Requeue]], Awaitable[Ended]]


async def release_each(
    releases: Sequence[Release], suspend: SuspendAll, requeue: RequeueAll
) -> Ended:
    """
    Release leases, those of each kind in one transaction.
    """
    # In one transaction for both kinds the deliveries would not be locked in their order.
    suspends = [it for it in releases if isinstance(it, Suspend)]
    requeues = [it for it in releases if isinstance(it, Requeue)]
    ended = Ended()
    if suspends:
        ended, refused = await suspend(suspends)
        requeues += [Requeue(it.claimed, AGAIN) for it in refused]
    if requeues:
        ended += await requeue(requeues)
    return ended


async def inactive_still(
    db: AsyncConnection, suspends: Sequence[Suspend]
) -> tuple[list[Suspend], list[Suspend]]:
    """
    Part *suspends*: those whose subscription is unchanged until *db* commits, and the others.
    """
    revisions = await _revisions(db, sorted({_subscription(it.claimed) for it in suspends}))
    unchanged: list[Suspend] = []
    changed: list[Suspend] = []
    for suspend in suspends:
        newest = revisions.get(_subscription(suspend.claimed), 0)
        (changed if newest > suspend.revision else unchanged).append(suspend)
    return unchanged, changed


async def _revisions(db: AsyncConnection, wanted_names: Sequence[str]) -> Mapping[str, int]:
    columns = feed_resources.c
    wanted = columns.name.in_(wanted_names)
    # This waits for a change that is being stored; the next change waits for this transaction,
    # and finds the deliveries suspended.
    held = sa.select(columns.name).where(wanted).order_by(*by_key(feed_resources))
    await db.execute(held.with_for_update(read=True))
    # The change that was waited for is a new row, which only a new statement sees.
    rows = await db.execute(sa.select(columns.name, columns.revision).where(wanted))
    return {row.name: row.revision for row in rows}


def _subscription(claimed: Claimed) -> str:
    return names.subscription(claimed.owner, claimed.subscription)

"""
The table of overrides: subscriptions that count as Inactive in the dispatch service until a
newer revision of them arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import subscription_overrides
from service_runtime.database.instants import database_now
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def override(db: AsyncConnection, subscription: Subscription, reason: str) -> None:
    """
    Override a subscription as of its revision. *reason* is shown to its owner.
    """
    await lift(db, subscription.owner, subscription.subscription_id)
    row = {
        "owner": subscription.owner,
        "subscription": subscription.subscription_id,
        "revision": subscription.revision,
        "reason": reason,
        "create_time": database_now(),
    }
    await db.execute(sa.insert(subscription_overrides).values(row))


async def is_overridden(db: AsyncConnection, subscription: Subscription) -> bool:
    """
    Return whether this revision of a subscription is overridden.
    """
    columns = subscription_overrides.c
    query = sa.select(columns.revision).where(
        columns.owner == subscription.owner,
        columns.subscription == subscription.subscription_id,
        columns.revision >= subscription.revision,
    )
    return (await db.execute(query)).one_or_none() is not None


async def lift(db: AsyncConnection, owner: str, subscription_id: str) -> None:
    """
    Lift the override of a subscription.
    """
    columns = subscription_overrides.c
    mine = sa.and_(columns.owner == owner, columns.subscription == subscription_id)
    await db.execute(sa.delete(subscription_overrides).where(mine))


async def overrides(db: AsyncConnection) -> dict[str, int]:
    """
    Return the overridden revisions by the names of their subscriptions.
    """
    rows = await db.execute(sa.select(subscription_overrides))
    return {names.subscription(row.owner, row.subscription): row.revision for row in rows}

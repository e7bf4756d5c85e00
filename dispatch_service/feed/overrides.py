"""
Subscriptions that count as Inactive here until a newer revision of them comes.
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


SubscriptionKey = tuple[str, str]
"""
An owner and the id of a subscription of it.
"""


async def override(db: AsyncConnection, subscription: Subscription, reason: str) -> None:
    """
    Let a subscription count as Inactive until a newer revision of it comes.
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
    Tell whether this revision of a subscription counts as Inactive already.
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
    Map the names of overridden subscriptions to the revisions that are overridden.
    """
    rows = await db.execute(sa.select(subscription_overrides))
    return {names.subscription(row.owner, row.subscription): row.revision for row in rows}

"""
The rows of endpoints that fail, of subscriptions that count as Inactive, and of
what the config service has yet to be told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.health import Health
from dispatch_service.schema import endpoint_reports, subscription_health, subscription_overrides
from dispatch_service.subscriptions import Subscription
from shipedge.webhooks.config.v1 import endpoint_event_pb2
from shipedge.webhooks.runtime.database import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SubscriptionKey = tuple[str, str]
"""
An owner and the id of a subscription of it.
"""


async def failing(db: AsyncConnection) -> set[SubscriptionKey]:
    """
    Return the subscriptions whose last attempt failed.
    """
    columns = subscription_health.c
    rows = await db.execute(sa.select(columns.owner, columns.subscription))
    return {(owner, subscription) for owner, subscription in rows}


async def read(
    db: AsyncConnection, keys: Collection[SubscriptionKey]
) -> dict[SubscriptionKey, Health]:
    """
    Read and lock what is known of subscriptions.
    """
    columns = subscription_health.c
    query = (
        sa.select(subscription_health)
        .where(sa.tuple_(columns.owner, columns.subscription).in_(sorted(keys)))
        .order_by(columns.owner, columns.subscription)
        .with_for_update()
    )
    return {
        (row.owner, row.subscription): Health(row.failing_since, row.failed_attempts, row.reported)
        for row in await db.execute(query)
    }


async def write(
    db: AsyncConnection,
    known: Mapping[SubscriptionKey, Health | None],
    revisions: Mapping[SubscriptionKey, int],
) -> None:
    """
    Replace what is known of subscriptions; None for one that is well.
    """
    columns = subscription_health.c
    replaced = sa.tuple_(columns.owner, columns.subscription).in_(sorted(known))
    await db.execute(sa.delete(subscription_health).where(replaced))
    rows: list[dict[str, Any]] = [
        {
            "owner": key[0],
            "subscription": key[1],
            "revision": revisions[key],
            "failing_since": health.failing_since,
            "failed_attempts": health.failed_attempts,
            "reported": health.reported,
        }
        for key, health in sorted(known.items())
        if health is not None
    ]
    for row in rows:
        insert = sa.insert(subscription_health).values(**row, update_time=database_now())
        await db.execute(insert)


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
    return {f"{row.owner}/subscriptions/{row.subscription}": row.revision for row in rows}


async def put_reports(
    db: AsyncConnection, reports: Iterable[tuple[str, endpoint_event_pb2.EndpointEvent]]
) -> None:
    """
    Note what the config service is to be told of owners' subscriptions.
    """
    for owner, report in reports:
        row = {
            "owner": owner,
            "endpoint_event_id": report.endpoint_event_id,
            "report": report.SerializeToString(),
            "create_time": database_now(),
        }
        await db.execute(sa.insert(endpoint_reports).values(row))


async def oldest_reports(db: AsyncConnection, limit: int) -> list[Any]:
    """
    Return what was noted first.
    """
    query = sa.select(endpoint_reports).order_by(endpoint_reports.c.create_time).limit(limit)
    return list((await db.execute(query)).all())


async def drop_reports(db: AsyncConnection, rows: Iterable[Any]) -> None:
    """
    Forget what was told.
    """
    columns = endpoint_reports.c
    told = [(row.owner, row.endpoint_event_id) for row in rows]
    key = sa.tuple_(columns.owner, columns.endpoint_event_id)
    await db.execute(sa.delete(endpoint_reports).where(key.in_(told)))

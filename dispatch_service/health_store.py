"""
The rows of endpoints that fail, of subscriptions that count as Inactive, and of
what the config service has yet to be told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.health import Health
from dispatch_service.schema import endpoint_reports, subscription_health, subscription_overrides
from dispatch_service.subscriptions import Subscription
from shipedge.webhooks.config.v1 import endpoint_event_pb2
from shipedge.webhooks.runtime.database import database_now
from shipedge.webhooks.runtime.inserts import insert
from shipedge.webhooks.runtime.keysets import among

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


async def lock(
    db: AsyncConnection, keys: Collection[SubscriptionKey]
) -> dict[SubscriptionKey, Health]:
    """
    Read and lock what is known of subscriptions; of one that was well, no failure yet.

    The rows that are not there are made: who waits for another process then finds its
    row, and since all lock in the order of the keys, no two wait for each other.
    """
    columns = subscription_health.c
    rows = [_first_row(*key) for key in sorted(keys)]
    statement = insert(db.dialect.name, subscription_health).values(rows)
    found = await db.execute(
        statement.on_conflict_do_update(
            index_elements=[columns.owner, columns.subscription],
            set_={"update_time": statement.excluded.update_time},
        ).returning(*columns)
    )
    return {
        (row.owner, row.subscription): Health(row.failing_since, row.failed_attempts, row.reported)
        for row in found
    }


def _first_row(owner: str, subscription: str) -> dict[str, Any]:
    return {
        "owner": owner,
        "subscription": subscription,
        "revision": 0,
        "failing_since": database_now(),
        "failed_attempts": 0,
        "reported": False,
        "update_time": database_now(),
    }


async def write(
    db: AsyncConnection,
    known: Mapping[SubscriptionKey, Health | None],
    revisions: Mapping[SubscriptionKey, int],
) -> None:
    """
    Write what is known of subscriptions that are locked; None for one that is well.
    """
    columns = subscription_health.c
    well = [key for key, health in known.items() if health is None]
    if well:
        mine = among([columns.owner, columns.subscription], well)
        await db.execute(sa.delete(subscription_health).where(mine))
    update = sa.update(subscription_health).where(
        columns.owner == sa.bindparam("its_owner"),
        columns.subscription == sa.bindparam("its_subscription"),
    )
    failing = [
        {"its_owner": key[0], "its_subscription": key[1], "revision": revisions[key]}
        | asdict(health)
        for key, health in known.items()
        if health is not None
    ]
    if failing:
        await db.execute(update, failing)


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
    mine = among([columns.owner, columns.endpoint_event_id], told)
    await db.execute(sa.delete(endpoint_reports).where(mine))

"""
The rows of endpoints that fail, of subscriptions that count as Inactive, and of
what the config service has yet to be told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.feed.overrides import SubscriptionKey
from dispatch_service.health.judge import Health
from dispatch_service.storage.schema import (
    subscription_health,
)
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


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
        mine = in_keys([columns.owner, columns.subscription], well)
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

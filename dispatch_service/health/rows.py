"""
The rows of subscriptions whose endpoint fails.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.health.judge import FailureStreak
from dispatch_service.routing.subscriptions import SubscriptionKey
from dispatch_service.storage.schema import subscription_health
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.database.row_values import in_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_FIRST = {
    "revision": 0,
    "failing_since": database_now(),
    "failed_attempts": 0,
    "reported": False,
    "update_time": database_now(),
}


async def failing(db: AsyncConnection) -> set[SubscriptionKey]:
    """
    Return the subscriptions whose last attempt failed.
    """
    columns = subscription_health.c
    rows = await db.execute(sa.select(columns.owner, columns.subscription))
    return {(owner, subscription) for owner, subscription in rows}


async def lock(
    db: AsyncConnection, keys: Collection[SubscriptionKey]
) -> dict[SubscriptionKey, FailureStreak]:
    """
    Read and lock the streaks of subscriptions; a new streak has no failure yet.

    Missing rows are inserted, so that a process that waits for another one finds its row.
    All processes lock in the order of the keys, so there is no deadlock.
    """
    columns = subscription_health.c
    rows = [{"owner": owner, "subscription": name} for owner, name in sorted(keys)]
    # The rows are parameters, not parts of the statement: one of hundreds of rows, compiled anew
    # for each number of them, kept the event loop busy for a quarter of a second.
    statement = insert(db.dialect.name, subscription_health).values(_FIRST)
    found = await db.execute(
        statement.on_conflict_do_update(
            index_elements=[columns.owner, columns.subscription],
            set_={"update_time": statement.excluded.update_time},
        ).returning(*columns),
        rows,
    )
    return {
        (row.owner, row.subscription): FailureStreak(
            row.failing_since, row.failed_attempts, row.reported
        )
        for row in found
    }


async def write(
    db: AsyncConnection,
    streaks: Mapping[SubscriptionKey, FailureStreak | None],
    revisions: Mapping[SubscriptionKey, int],
) -> None:
    """
    Write the streaks of locked subscriptions; None deletes the row, after a success.
    """
    columns = subscription_health.c
    recovered = [key for key, streak in streaks.items() if streak is None]
    if recovered:
        of_recovered = in_keys([columns.owner, columns.subscription], recovered)
        await db.execute(sa.delete(subscription_health).where(of_recovered))
    update = sa.update(subscription_health).where(
        columns.owner == sa.bindparam("key_owner"),
        columns.subscription == sa.bindparam("key_subscription"),
    )
    still_failing = [
        {"key_owner": key[0], "key_subscription": key[1], "revision": revisions[key]}
        | asdict(streak)
        for key, streak in streaks.items()
        if streak is not None
    ]
    if still_failing:
        await db.execute(update, still_failing)

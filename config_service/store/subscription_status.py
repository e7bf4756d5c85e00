"""
Changes of the status of subscriptions that no caller makes. Each function runs in the caller's
transaction.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store import subscription_store
from config_service.store.rows import SubscriptionRow
from config_service.store.store import Sealing
from config_service.store.subscription_rows import config_columns, stored_config
from service_runtime.database.instants import database_now
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription


async def deactivate(
    db: AsyncConnection, row: SubscriptionRow, reason: str, sealing: Sealing
) -> None:
    """
    Set a subscription Inactive for *reason*, GONE or FAILING.
    """
    columns = _columns(row, Subscription.STATUS_INACTIVE, sealing)
    await subscription_store.update(db, row, {**columns, "status_reason": reason})


async def activate_verified(db: AsyncConnection, row: SubscriptionRow, sealing: Sealing) -> None:
    """
    Set a subscription Active whose URL has answered its challenge; it matches events from now on.
    """
    columns = _columns(row, Subscription.STATUS_ACTIVE, sealing)
    follows = {
        "status_reason": "MANUAL",
        "verified_url_hash": columns["url_hash"],
        "matches_since": database_now(),
        "skipped_event_count": 0,
        "last_skipped_time": None,
    }
    await subscription_store.update(db, row, columns | follows)


def _columns(
    row: SubscriptionRow, status: Subscription.Status.ValueType, sealing: Sealing
) -> dict[str, object]:
    message = stored_config(row, sealing.ring)
    message.status = status
    return config_columns(message, row.owner, row.subscription_id, sealing)

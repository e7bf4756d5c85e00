"""
Subscriptions and their signing secrets. Each function runs in the caller's transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.matching import begins_to_match
from config_service.rules.signing_keys import new_secret, new_signing_key
from config_service.store.changes import feed_change, next_revision
from config_service.store.rows import SECRETS, SUBSCRIPTIONS, SecretRow, SubscriptionRow
from config_service.store.schema import (
    client_certificates,
    credentials,
    signing_secrets,
    subscriptions,
)
from config_service.store.shown_urls import url_hash
from config_service.store.store import Sealing
from config_service.store.subscription_rows import (
    by_subscription,
    config_columns,
    feed_subscription,
    message_of,
    name_of,
    sealed_keys,
    stored_config,
)
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import filters, names
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedSubscription

KIND = "subscription"

FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "event_type": filters.text(),
    "payload_version": filters.text(),
    "status": filters.one_of("ACTIVE", "INACTIVE"),
    "url": filters.text(),
    "credential": filters.text(),
    "client_certificate": filters.text(),
}


async def find(db: AsyncConnection, owner: str, subscription_id: str) -> SubscriptionRow | None:
    """
    Return a subscription, or None. Deleted ones are found too.
    """
    query = SUBSCRIPTIONS.select().where(_is(owner, subscription_id))
    return await SUBSCRIPTIONS.first(db, query)


async def insert(
    db: AsyncConnection, owner: str, subscription_id: str, message: Subscription, sealing: Sealing
) -> str:
    """
    Insert a subscription and its first signing secret; return the secret.
    """
    revision = await next_revision(db)
    columns = config_columns(message, owner, subscription_id, sealing)
    row = {
        "owner": owner,
        "subscription_id": subscription_id,
        "created_revision": revision,
        "revision": revision,
        "status_reason": "MANUAL",
        "endpoint_health": b"",
        "skipped_event_count": 0,
        "create_time": database_now(),
        "update_time": database_now(),
        "matches_since": database_now(),
        **columns,
    }
    await db.execute(sa.insert(subscriptions).values(row))
    secret = await add_secret(db, owner, subscription_id, sealing.ring)
    await feed_change(db, names.subscription(owner, subscription_id), KIND, revision)
    return secret


async def add_secret(db: AsyncConnection, owner: str, subscription_id: str, ring: KeyRing) -> str:
    """
    Create a signing secret and its ed25519 key; return the secret.
    """
    secret, secret_id = new_secret(), f"sec_{secrets.token_hex(8)}"
    row = {
        "owner": owner,
        "subscription_id": subscription_id,
        "secret_id": secret_id,
        **sealed_keys(secret, new_signing_key(), owner, subscription_id, secret_id, ring),
        "create_time": database_now(),
    }
    await db.execute(sa.insert(signing_secrets).values(row))
    return secret


async def update(
    db: AsyncConnection,
    row: SubscriptionRow,
    values: Mapping[str, object],
    *,
    deleted: bool = False,
) -> None:
    """
    Change columns of a subscription at a new revision, which the feed carries.
    """
    revision = await next_revision(db)
    changed = {**values, "revision": revision, "update_time": database_now()}
    await db.execute(
        sa.update(subscriptions).where(_is(row.owner, row.subscription_id)).values(changed)
    )
    await feed_change(db, name_of(row), KIND, revision, deleted=deleted)


async def undelete(db: AsyncConnection, row: SubscriptionRow) -> None:
    """
    Undelete a subscription; it matches events from now on.
    """
    await update(db, row, {"delete_time": None, "matches_since": database_now()})


async def set_columns(
    db: AsyncConnection, row: SubscriptionRow, values: Mapping[str, object]
) -> None:
    """
    Change columns that only people see: without a new revision, so not in the feed.
    """
    await db.execute(
        sa.update(subscriptions).where(_is(row.owner, row.subscription_id)).values(values)
    )


async def update_config(
    db: AsyncConnection, row: SubscriptionRow, message: Subscription, sealing: Sealing
) -> None:
    """
    Change the fields that callers set. A changed status has the reason SET.
    """
    columns = config_columns(message, row.owner, row.subscription_id, sealing)
    if columns["status"] != row.status:
        columns["status_reason"] = "MANUAL"
    if begins_to_match(stored_config(row, sealing.ring), message):
        columns["matches_since"] = database_now()
    if columns["status"] == "ACTIVE" != row.status:
        columns |= {"skipped_event_count": 0, "last_skipped_time": None}
    await update(db, row, columns)


async def deactivate(
    db: AsyncConnection, row: SubscriptionRow, reason: str, sealing: Sealing
) -> None:
    """
    Set a subscription Inactive for *reason*, GONE or FAILING.
    """
    message = stored_config(row, sealing.ring)
    message.status = Subscription.STATUS_INACTIVE
    columns = config_columns(message, row.owner, row.subscription_id, sealing)
    await update(db, row, {**columns, "status_reason": reason})


async def rotate_secret(
    db: AsyncConnection, row: SubscriptionRow, grace: timedelta, ring: KeyRing
) -> str:
    """
    Create a new signing secret and return it. Those in use expire after *grace*, or when they
    would have expired anyway.
    """
    until = after(grace)
    mine = sa.and_(
        signing_secrets.c.owner == row.owner,
        signing_secrets.c.subscription_id == row.subscription_id,
    )
    longer = sa.or_(signing_secrets.c.expire_time.is_(None), signing_secrets.c.expire_time > until)
    await db.execute(sa.update(signing_secrets).where(mine, longer).values(expire_time=until))
    await db.execute(
        sa.delete(signing_secrets).where(mine, signing_secrets.c.expire_time <= database_now())
    )
    secret = await add_secret(db, row.owner, row.subscription_id, ring)
    await update(db, row, {})
    return secret


async def messages(
    db: AsyncConnection, rows: Sequence[SubscriptionRow], ring: KeyRing
) -> list[Subscription]:
    """
    Return the subscriptions of *rows* with the descriptions of their unexpired secrets.
    """
    secrets = await _live_secrets(db, rows)
    return [message_of(row, mine, ring) for row, mine in zip(rows, secrets, strict=True)]


async def feed_subscriptions(
    db: AsyncConnection, rows: Sequence[SubscriptionRow], ring: KeyRing
) -> list[FeedSubscription]:
    """
    Return the subscriptions of *rows* with their unexpired secrets, for the feed.
    """
    secrets = await _live_secrets(db, rows)
    return [feed_subscription(row, mine, ring) for row, mine in zip(rows, secrets, strict=True)]


async def _live_secrets(
    db: AsyncConnection, rows: Sequence[SubscriptionRow]
) -> list[Sequence[SecretRow]]:
    """
    Return for each subscription its unexpired secrets, newest first.
    """
    if not rows:
        return []
    keys = [(row.owner, row.subscription_id) for row in rows]
    mine = in_keys([signing_secrets.c.owner, signing_secrets.c.subscription_id], keys)
    live = sa.or_(
        signing_secrets.c.expire_time.is_(None), signing_secrets.c.expire_time > database_now()
    )
    query = (
        SECRETS.select()
        .where(mine, live)
        .order_by(signing_secrets.c.create_time.desc(), signing_secrets.c.secret_id)
    )
    grouped = by_subscription(await SECRETS.all(db, query))
    return [grouped.get((row.owner, row.subscription_id), ()) for row in rows]


async def list_rows(
    db: AsyncConnection,
    parent: str,
    comparisons: Iterable[Comparison],
    *,
    show_deleted: bool,
    size: int,
    begin_after: PageKey | None,
    sealing: Sealing,
) -> Page[SubscriptionRow]:
    """
    List the subscriptions of *parent* for which the comparisons hold, oldest first.
    """
    query = SUBSCRIPTIONS.select().order_by(subscriptions.c.created_revision).limit(size + 1)
    if parent.endswith("/-"):
        query = query.where(subscriptions.c.owner.startswith(parent[:-1], autoescape=True))
    else:
        query = query.where(subscriptions.c.owner == parent)
    if not show_deleted:
        query = query.where(subscriptions.c.delete_time.is_(None))
    if begin_after is not None:
        query = query.where(subscriptions.c.created_revision > int(begin_after[0]))
    query = query.where(*(_condition(comparison, sealing) for comparison in comparisons))
    rows = await SUBSCRIPTIONS.all(db, query)
    return Page(rows, size, lambda row: [row.created_revision])


async def missing_references(db: AsyncConnection, message: Subscription) -> list[str]:
    """
    Return the fields that name a credential or client certificate that does not exist.
    """
    missing = []
    for field, table in (
        ("credential", credentials),
        ("client_certificate", client_certificates),
    ):
        name = getattr(message, field)
        if not name:
            continue
        owner, resource_id = names.split(name)
        query = sa.select(table.c.revision).where(
            table.c.owner == owner, table.c[f"{field}_id"] == resource_id
        )
        if (await db.execute(query)).one_or_none() is None:
            missing.append(field)
    return missing


def _condition(comparison: Comparison, sealing: Sealing) -> sa.ColumnElement[bool]:
    same: sa.ColumnElement[bool]
    if comparison.field == "url":
        same = subscriptions.c.url_hash == url_hash(str(comparison.value), sealing)
    else:
        same = subscriptions.c[comparison.field] == comparison.value
    return same if comparison.operator == "=" else ~same


def _is(owner: str, subscription_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        subscriptions.c.owner == owner, subscriptions.c.subscription_id == subscription_id
    )

"""
Subscriptions and their signing secrets. Each function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.matching import begins_to_match
from config_service.store.changes import feed_change, next_revision
from config_service.store.rows import SUBSCRIPTIONS, SecretRow, SubscriptionRow, of_parent
from config_service.store.schema import (
    client_certificates,
    credentials,
    signing_keys,
    subscriptions,
)
from config_service.store.shown_urls import url_hash
from config_service.store.signing import secrets as signing_secrets
from config_service.store.signing.secrets import OF_SUBSCRIPTIONS, HolderKey
from config_service.store.store import Sealing
from config_service.store.subscription_rows import (
    config_columns,
    feed_subscription,
    message_of,
    name_of,
    stored_config,
)
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import filters, names
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey
from service_runtime.rules.signing_secrets import new_secret
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedSubscription

KIND = "subscription"

_REFERENCES = ("credential", "client_certificate", "signing_key")

FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "event_type": filters.text(),
    "payload_version": filters.text(),
    "status": filters.one_of("ACTIVE", "INACTIVE"),
    "url": filters.text(),
    **dict.fromkeys(_REFERENCES, filters.text()),
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
    Insert a subscription and, if it names no signing key, its first secret; return that, or an
    empty text.
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
    key = (owner, subscription_id)
    secret = "" if message.signing_key else await _first_secret(db, key, sealing.ring)
    await feed_change(db, names.subscription(owner, subscription_id), KIND, revision)
    return secret


async def _first_secret(db: AsyncConnection, key: HolderKey, ring: KeyRing) -> str:
    secret = new_secret()
    await signing_secrets.add(db, OF_SUBSCRIPTIONS, key, secret, ring)
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
) -> str:
    """
    Change the fields that callers set. A changed status has the reason MANUAL.

    Return the secret of one that has neither signing key nor secret any more, else an empty text.
    """
    columns = config_columns(message, row.owner, row.subscription_id, sealing)
    if columns["status"] != row.status or row.unverified:
        columns = {"status_reason": "MANUAL"} | columns
    if begins_to_match(stored_config(row, sealing.ring), message):
        columns["matches_since"] = database_now()
    if columns["status"] == "ACTIVE" != row.status:
        columns |= {"skipped_event_count": 0, "last_skipped_time": None}
    secret = ""
    if not (message.signing_key or any(await _secrets(db, [row]))):
        secret = await _first_secret(db, (row.owner, row.subscription_id), sealing.ring)
    await update(db, row, columns)
    return secret


async def rotate_secret(
    db: AsyncConnection, row: SubscriptionRow, grace: timedelta, ring: KeyRing
) -> str:
    """
    Create a new signing secret and return it. Those in use expire after *grace*, or when they
    would have expired anyway.
    """
    secret, key = new_secret(), (row.owner, row.subscription_id)
    await signing_secrets.rotate(db, OF_SUBSCRIPTIONS, key, secret, grace, ring)
    await update(db, row, {})
    return secret


async def messages(
    db: AsyncConnection, rows: Sequence[SubscriptionRow], ring: KeyRing
) -> list[Subscription]:
    """
    Return the subscriptions of *rows* with the descriptions of their unexpired secrets.
    """
    secrets = await _secrets(db, rows)
    return [message_of(row, mine, ring) for row, mine in zip(rows, secrets, strict=True)]


async def feed_subscriptions(
    db: AsyncConnection, rows: Sequence[SubscriptionRow], ring: KeyRing
) -> list[FeedSubscription]:
    """
    Return the subscriptions of *rows* with their unexpired secrets, for the feed.
    """
    secrets = await _secrets(db, rows)
    return [feed_subscription(row, mine, ring) for row, mine in zip(rows, secrets, strict=True)]


async def _secrets(
    db: AsyncConnection, rows: Sequence[SubscriptionRow]
) -> list[Sequence[SecretRow]]:
    keys = [(row.owner, row.subscription_id) for row in rows]
    return await signing_secrets.live(db, OF_SUBSCRIPTIONS, keys)


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
    query = query.where(of_parent(subscriptions.c.owner, parent))
    if not show_deleted:
        query = query.where(subscriptions.c.delete_time.is_(None))
    if begin_after is not None:
        query = query.where(subscriptions.c.created_revision > int(begin_after[0]))
    query = query.where(*(_condition(comparison, sealing) for comparison in comparisons))
    rows = await SUBSCRIPTIONS.all(db, query)
    return Page(rows, size, lambda row: [row.created_revision])


async def identical(
    db: AsyncConnection, owner: str, name: str, message: Subscription, sealing: Sealing
) -> list[str]:
    """
    Return the names of *owner*'s other subscriptions that send the same events in the same payload
    version to the same URL as *message*.
    """
    columns = subscriptions.c
    query = SUBSCRIPTIONS.select().where(
        columns.owner == owner,
        columns.event_type == message.event_type,
        columns.payload_version == message.payload_version,
        columns.url_hash == url_hash(message.url, sealing),
        columns.delete_time.is_(None),
    )
    rows = await SUBSCRIPTIONS.all(db, query.order_by(columns.created_revision))
    return [
        name_of(row)
        for row in rows
        if name_of(row) != name and stored_config(row, sealing.ring).filter == message.filter
    ]


async def users_of(db: AsyncConnection, credential: str, ring: KeyRing) -> list[Subscription]:
    """
    Return the subscriptions that use a credential, with their names.
    """
    columns = subscriptions.c
    query = SUBSCRIPTIONS.select().where(
        columns.owner == names.owner_of(credential),
        columns.credential == credential,
        columns.delete_time.is_(None),
    )
    return [message_of(row, (), ring) for row in await SUBSCRIPTIONS.all(db, query)]


async def missing_references(db: AsyncConnection, message: Subscription) -> list[str]:
    """
    Return the fields that name a credential, client certificate or signing key that does not exist.
    """
    missing = []
    tables = (credentials, client_certificates, signing_keys)
    for field, table in zip(_REFERENCES, tables, strict=True):
        if name := getattr(message, field):
            owner, resource_id = names.split(name)
            mine = sa.and_(table.c.owner == owner, table.c[f"{field}_id"] == resource_id)
            if (await db.execute(sa.select(table.c.revision).where(mine))).first() is None:
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

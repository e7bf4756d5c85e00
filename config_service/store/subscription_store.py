"""
The rows of subscriptions: each function runs in the caller's transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.signing_keys import new_secret, new_signing_key
from config_service.store.changes import feed_change, next_revision
from config_service.store.schema import (
    client_certificates,
    credentials,
    signing_secrets,
    subscriptions,
)
from config_service.store.subscription_rows import (
    by_subscription,
    config_columns,
    normal_url,
    sealed_keys,
    stored_config,
    with_secrets,
)
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import filters, names
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import PageKey
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

KIND = "subscription"

FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "event_type": filters.text(),
    "payload_version": filters.text(),
    "status": filters.one_of("ACTIVE", "INACTIVE"),
    "url": filters.text(),
    "credential": filters.text(),
    "client_certificate": filters.text(),
}


@dataclass(frozen=True, slots=True)
class Sealing:
    """
    What writing and reading the sealed columns needs.
    """

    ring: KeyRing
    rules: UrlRules


async def find(db: AsyncConnection, owner: str, subscription_id: str) -> Any | None:
    """
    Return the row of a subscription, deleted ones too, or None.
    """
    query = sa.select(subscriptions).where(_is(owner, subscription_id))
    return (await db.execute(query)).one_or_none()


async def insert(
    db: AsyncConnection, owner: str, subscription_id: str, message: Subscription, sealing: Sealing
) -> str:
    """
    Insert a subscription and its first signing secret, which is returned.
    """
    revision = await next_revision(db)
    columns = config_columns(message, owner, subscription_id, sealing.ring, sealing.rules)
    row = {
        "owner": owner,
        "subscription_id": subscription_id,
        "created_revision": revision,
        "revision": revision,
        "status_reason": "SET",
        "endpoint_health": b"",
        "suppressed_event_count": 0,
        "create_time": database_now(),
        "update_time": database_now(),
        **columns,
    }
    await db.execute(sa.insert(subscriptions).values(row))
    secret = await add_secret(db, owner, subscription_id, sealing.ring)
    await feed_change(db, names.subscription(owner, subscription_id), KIND, revision)
    return secret


async def add_secret(db: AsyncConnection, owner: str, subscription_id: str, ring: KeyRing) -> str:
    """
    Make and store a signing secret, and the ed25519 key that belongs to it.
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
    db: AsyncConnection, row: Any, values: Mapping[str, Any], *, deleted: bool = False
) -> None:
    """
    Change columns of a subscription and let the feed know.
    """
    revision = await next_revision(db)
    changed = {**values, "revision": revision, "update_time": database_now()}
    await db.execute(
        sa.update(subscriptions).where(_is(row.owner, row.subscription_id)).values(changed)
    )
    name = names.subscription(row.owner, row.subscription_id)
    await feed_change(db, name, KIND, revision, deleted=deleted)


async def note(db: AsyncConnection, row: Any, values: Mapping[str, Any]) -> None:
    """
    Change what only people look at: no new revision, nothing for the feed.
    """
    await db.execute(
        sa.update(subscriptions).where(_is(row.owner, row.subscription_id)).values(values)
    )


async def update_config(
    db: AsyncConnection, row: Any, message: Subscription, sealing: Sealing
) -> None:
    """
    Change what callers set. A status that is set by hand has no other reason.
    """
    columns = config_columns(message, row.owner, row.subscription_id, sealing.ring, sealing.rules)
    if columns["status"] != row.status:
        columns["status_reason"] = "SET"
    if columns["status"] == "ACTIVE" != row.status:
        columns |= {"suppressed_event_count": 0, "last_suppressed_time": None}
    await update(db, row, columns)


async def deactivate(db: AsyncConnection, row: Any, reason: str, sealing: Sealing) -> None:
    """
    Set a subscription Inactive on behalf of the system.
    """
    message = stored_config(row, sealing.ring)
    message.status = Subscription.STATUS_INACTIVE
    columns = config_columns(message, row.owner, row.subscription_id, sealing.ring, sealing.rules)
    await update(db, row, {**columns, "status_reason": reason})


async def rotate_secret(db: AsyncConnection, row: Any, grace: timedelta, ring: KeyRing) -> str:
    """
    Make a new signing secret; those in use go on for *grace*, none longer than before.
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


async def messages(db: AsyncConnection, rows: Sequence[Any], ring: KeyRing) -> list[Subscription]:
    """
    Return the subscriptions of *rows* with their secrets.
    """
    if not rows:
        return []
    keys = [(row.owner, row.subscription_id) for row in rows]
    mine = in_keys([signing_secrets.c.owner, signing_secrets.c.subscription_id], keys)
    live = sa.or_(
        signing_secrets.c.expire_time.is_(None), signing_secrets.c.expire_time > database_now()
    )
    query = (
        sa.select(signing_secrets)
        .where(mine, live)
        .order_by(signing_secrets.c.create_time.desc(), signing_secrets.c.secret_id)
    )
    grouped = by_subscription((await db.execute(query)).all())
    return [
        with_secrets(row, grouped.get((row.owner, row.subscription_id), ()), ring) for row in rows
    ]


async def list_rows(
    db: AsyncConnection,
    parent: str,
    comparisons: Iterable[Comparison],
    *,
    show_deleted: bool,
    size: int,
    begin_after: PageKey | None,
    sealing: Sealing,
) -> tuple[Sequence[Any], PageKey | None]:
    """
    List rows, oldest first, and the key that the next page begins after.
    """
    query = sa.select(subscriptions).order_by(subscriptions.c.created_revision).limit(size + 1)
    if parent.endswith("/-"):
        query = query.where(subscriptions.c.owner.startswith(parent[:-1], autoescape=True))
    else:
        query = query.where(subscriptions.c.owner == parent)
    if not show_deleted:
        query = query.where(subscriptions.c.delete_time.is_(None))
    if begin_after is not None:
        query = query.where(subscriptions.c.created_revision > int(begin_after[0]))
    query = query.where(*(_condition(comparison, sealing) for comparison in comparisons))
    rows = (await db.execute(query)).all()
    last = rows[size - 1].created_revision if len(rows) > size else None
    return rows[:size], None if last is None else [last]


async def missing_references(db: AsyncConnection, message: Subscription) -> list[str]:
    """
    Name the fields that refer to a credential or certificate that does not exist.
    """
    missing = []
    for field, table in (
        ("credential", credentials),
        ("client_certificate", client_certificates),
    ):
        owner, _, reference = getattr(message, field).rpartition("/")
        if not reference:
            continue
        owner = owner.rpartition("/")[0]
        query = sa.select(table.c.revision).where(
            table.c.owner == owner, table.c[f"{field}_id"] == reference
        )
        if (await db.execute(query)).one_or_none() is None:
            missing.append(field)
    return missing


def _condition(comparison: Comparison, sealing: Sealing) -> sa.ColumnElement[bool]:
    column, value = subscriptions.c.get(comparison.field), comparison.value
    if comparison.field == "url":
        url = normal_url(str(value), sealing.rules)
        column, value = subscriptions.c.url_hash, sealing.ring.keyed_hash("url", url)  # type: ignore[assignment]
    if column is None:
        raise LookupError(comparison.field)
    return column == value if comparison.operator == "=" else column != value


def _is(owner: str, subscription_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        subscriptions.c.owner == owner, subscriptions.c.subscription_id == subscription_id
    )

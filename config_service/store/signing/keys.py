"""
Signing keys with their secrets. Each function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store import owned_resources
from config_service.store.owned_resources import SIGNING_KEY
from config_service.store.rows import OwnedRow
from config_service.store.schema import signing_keys
from config_service.store.signing import secrets
from config_service.store.signing.secrets import OF_SIGNING_KEYS, described, fed
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from shipedge.webhooks.config.v1.signing_key_pb2 import SigningKey
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedSigningKey


async def insert(
    db: AsyncConnection, owner: str, signing_key_id: str, wanted: SigningKey, ring: KeyRing
) -> None:
    """
    Insert a signing key with its first secret, that of *wanted*.
    """
    stored = SigningKey(display_name=wanted.display_name)
    await secrets.add(db, OF_SIGNING_KEYS, (owner, signing_key_id), wanted.secret, ring)
    await owned_resources.insert(db, SIGNING_KEY, owner, signing_key_id, stored, ring)


async def rotate(
    db: AsyncConnection, row: OwnedRow, secret: str, grace: timedelta, ring: KeyRing
) -> None:
    """
    Give a signing key a new secret; those in use expire after *grace* at the latest.
    """
    holder = (row.owner, row.resource_id)
    await secrets.rotate(db, OF_SIGNING_KEYS, holder, secret, grace, ring)
    stored = owned_resources.message_of(SIGNING_KEY, row, ring)
    await owned_resources.update(db, SIGNING_KEY, row, stored, ring)


async def delete(db: AsyncConnection, row: OwnedRow) -> None:
    """
    Delete a signing key. Raises `SigningKeyInUse`.
    """
    await owned_resources.delete(db, SIGNING_KEY, row)
    await secrets.delete(db, OF_SIGNING_KEYS, (row.owner, row.resource_id))


async def messages(
    db: AsyncConnection, rows: Sequence[OwnedRow], ring: KeyRing
) -> list[SigningKey]:
    """
    Return the signing keys of *rows* as callers see them.
    """
    used = await owned_resources.usage(db, SIGNING_KEY, [SIGNING_KEY.name_of(row) for row in rows])
    held = await secrets.live(db, OF_SIGNING_KEYS, [(row.owner, row.resource_id) for row in rows])
    found = []
    for row, mine in zip(rows, held, strict=True):
        count = used.get(SIGNING_KEY.name_of(row), 0)
        message = owned_resources.message_of(SIGNING_KEY, row, ring, count)
        message.signing_secrets.extend(
            described(OF_SIGNING_KEYS, secret, ring, asymmetric=True) for secret in mine
        )
        found.append(message)
    return found


async def feed_signing_keys(
    db: AsyncConnection, wanted: Sequence[str], ring: KeyRing
) -> list[FeedSigningKey]:
    """
    Return the signing keys of these names with their unexpired secrets, for the feed.
    """
    if not wanted:
        return []
    mine = in_keys(
        [signing_keys.c.owner, signing_keys.c.signing_key_id],
        [names.split(name) for name in wanted],
    )
    rows = await SIGNING_KEY.rows.all(db, SIGNING_KEY.rows.select().where(mine))
    held = await secrets.live(db, OF_SIGNING_KEYS, [(row.owner, row.resource_id) for row in rows])
    return [
        FeedSigningKey(
            signing_key=owned_resources.message_of(SIGNING_KEY, row, ring),
            signing_secrets=[fed(OF_SIGNING_KEYS, it, ring, asymmetric=True) for it in mine],
        )
        for row, mine in zip(rows, held, strict=True)
    ]

"""
The secrets that requests are signed with: those of subscriptions and those of signing keys,
several during a rotation. Each function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.signing_keys import new_signing_key, verification_key
from config_service.store import associated_data
from config_service.store.rows import SecretRow
from config_service.store.schema import signing_key_secrets, signing_secrets
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.database.typed_rows import RowReader
from service_runtime.keys.keyring import AssociatedData, KeyRing
from shipedge.webhooks.config.v1.subscription_pb2 import SigningSecret
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedSigningSecret

HolderKey = tuple[str, str]
"""
An owner, and the id of the subscription or signing key that has secrets.
"""


@dataclass(frozen=True, slots=True)
class SecretTable:
    """
    A table of secrets. *holder* is the column with the id of what has them; the functions say to
    what the sealed secret and the sealed ed25519 key of a row are bound.
    """

    table: sa.Table
    holder: sa.Column[Any]
    secret_bound: Callable[[str, str, str], AssociatedData]
    key_bound: Callable[[str, str, str], AssociatedData]

    @property
    def rows(self) -> RowReader[SecretRow]:
        """
        The reader of the table.
        """
        return RowReader(SecretRow, self.table, other_columns={"holder_id": self.holder})


OF_SUBSCRIPTIONS = SecretTable(
    signing_secrets,
    signing_secrets.c.subscription_id,
    associated_data.signing_secret,
    associated_data.signing_key,
)
OF_SIGNING_KEYS = SecretTable(
    signing_key_secrets,
    signing_key_secrets.c.signing_key_id,
    associated_data.secret_of_key,
    associated_data.private_key_of_key,
)


def sealed_keys(
    of: SecretTable, secret: str, signing_key: str, key: tuple[str, str, str], ring: KeyRing
) -> dict[str, bytes]:
    """
    Seal a signing secret and its ed25519 key for their row: owner, id of the holder, id of the
    secret.
    """
    return {
        "sealed_secret": ring.seal(secret.encode(), of.secret_bound(*key)),
        "sealed_signing_key": ring.seal(signing_key.encode(), of.key_bound(*key)),
    }


async def add(
    db: AsyncConnection, of: SecretTable, holder: HolderKey, secret: str, ring: KeyRing
) -> None:
    """
    Store a secret, with a new ed25519 key.
    """
    secret_id = f"sec_{token_hex(8)}"
    row = {
        "owner": holder[0],
        of.holder.name: holder[1],
        "secret_id": secret_id,
        **sealed_keys(of, secret, new_signing_key(), (*holder, secret_id), ring),
        "create_time": database_now(),
    }
    await db.execute(sa.insert(of.table).values(row))


async def rotate(
    db: AsyncConnection,
    of: SecretTable,
    holder: HolderKey,
    secret: str,
    grace: timedelta,
    ring: KeyRing,
) -> None:
    """
    Store a new secret. Those in use expire after *grace*, or when they would have expired
    anyway.
    """
    until, expires = after(grace), of.table.c.expire_time
    mine = _of_holder(of, holder)
    longer = sa.or_(expires.is_(None), expires > until)
    await db.execute(sa.update(of.table).where(mine, longer).values(expire_time=until))
    await db.execute(sa.delete(of.table).where(mine, expires <= database_now()))
    await add(db, of, holder, secret, ring)


async def delete(db: AsyncConnection, of: SecretTable, holder: HolderKey) -> None:
    """
    Delete all secrets of a holder.
    """
    await db.execute(sa.delete(of.table).where(_of_holder(of, holder)))


async def live(
    db: AsyncConnection, of: SecretTable, holders: Sequence[HolderKey]
) -> list[Sequence[SecretRow]]:
    """
    Return for each holder its unexpired secrets, newest first.
    """
    if not holders:
        return []
    columns, rows = of.table.c, of.rows
    unexpired = sa.or_(columns.expire_time.is_(None), columns.expire_time > database_now())
    query = (
        rows.select()
        .where(in_keys([columns.owner, of.holder], list(holders)), unexpired)
        .order_by(columns.create_time.desc(), columns.secret_id)
    )
    grouped: dict[HolderKey, list[SecretRow]] = {}
    for row in await rows.all(db, query):
        grouped.setdefault((row.owner, row.holder_id), []).append(row)
    return [grouped.get(holder, ()) for holder in holders]


def described(of: SecretTable, row: SecretRow, ring: KeyRing, *, asymmetric: bool) -> SigningSecret:
    """
    Return what is shown of a secret; with *asymmetric* the public half of its ed25519 key too.
    """
    secret = SigningSecret(secret_id=row.secret_id)
    if asymmetric and row.sealed_signing_key is not None:
        secret.verification_key = verification_key(_signing_key(of, row, ring))
    secret.create_time.FromDatetime(row.create_time)
    if row.expire_time is not None:
        secret.expire_time.FromDatetime(row.expire_time)
    return secret


def fed(of: SecretTable, row: SecretRow, ring: KeyRing, *, asymmetric: bool) -> FeedSigningSecret:
    """
    Return a secret as only the feed may show it; with *asymmetric* its ed25519 key too.
    """
    key = (row.owner, row.holder_id, row.secret_id)
    opened = ring.open(row.sealed_secret, of.secret_bound(*key))
    secret = FeedSigningSecret(secret=opened.decode())
    if asymmetric and row.sealed_signing_key is not None:
        secret.signing_key = _signing_key(of, row, ring)
    if row.expire_time is not None:
        secret.expire_time.FromDatetime(row.expire_time)
    return secret


def _signing_key(of: SecretTable, row: SecretRow, ring: KeyRing) -> str:
    bound = of.key_bound(row.owner, row.holder_id, row.secret_id)
    return ring.open(row.sealed_signing_key or b"", bound).decode()


def _of_holder(of: SecretTable, holder: HolderKey) -> sa.ColumnElement[bool]:
    return sa.and_(of.table.c.owner == holder[0], of.holder == holder[1])

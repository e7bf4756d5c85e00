"""
The rows of what subscriptions refer to, credentials and client certificates:
each function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.errors import (
    ClientCertificateExists,
    ClientCertificateInUse,
    ClientCertificateNotFound,
    CredentialExists,
    CredentialInUse,
    CredentialNotFound,
)
from config_service.store import associated_data
from config_service.store.changes import feed_change, next_revision
from config_service.store.schema import client_certificates, credentials, subscriptions
from config_service.store.subscription_rows import etag_of
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import AssociatedData, KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.errors import RpcError
from service_runtime.rpc.paging import PageKey
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate
from shipedge.webhooks.config.v1.credential_pb2 import Credential

MessageT = TypeVar("MessageT", bound=Message)

# What the server adds to what is stored.
_SERVERS = ("name", "subscription_count", "create_time", "update_time", "revision", "etag")


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of resource; *name* is its field in subscriptions and in the feed.
    """

    name: str
    prefix: str
    text: Callable[[str, str], str]
    associated: Callable[[str, str], AssociatedData]
    table: sa.Table
    message: type[Message]
    columns: Callable[[Any], Mapping[str, Any]]
    not_found: Callable[[str], RpcError]
    exists: Callable[[str], RpcError]
    in_use: Callable[[str, int], RpcError]

    @property
    def id_column(self) -> sa.Column[Any]:
        """
        The column of the last part of its names.
        """
        return self.table.c[f"{self.name}_id"]

    def name_of(self, row: Any) -> str:
        """
        Name the resource of a row.
        """
        return self.text(row.owner, getattr(row, f"{self.name}_id"))


def _certificate_columns(message: ClientCertificate) -> Mapping[str, Any]:
    not_after = message.not_after.ToDatetime(tzinfo=UTC)
    return {"sha256_fingerprint": message.sha256_fingerprint, "not_after": not_after}


CREDENTIAL = Kind(
    "credential",
    "crd",
    names.credential,
    associated_data.credential,
    credentials,
    Credential,
    lambda message: {"method": message.WhichOneof("method")},
    CredentialNotFound,
    CredentialExists,
    CredentialInUse,
)
CLIENT_CERTIFICATE = Kind(
    "client_certificate",
    "crt",
    names.client_certificate,
    associated_data.client_certificate,
    client_certificates,
    ClientCertificate,
    _certificate_columns,
    ClientCertificateNotFound,
    ClientCertificateExists,
    ClientCertificateInUse,
)


async def find(db: AsyncConnection, kind: Kind, owner: str, resource_id: str) -> Any | None:
    """
    Return the row of a resource, or None.
    """
    query = sa.select(kind.table).where(_is(kind, owner, resource_id))
    return (await db.execute(query)).one_or_none()


async def insert(
    db: AsyncConnection, kind: Kind, owner: str, resource_id: str, message: Message, ring: KeyRing
) -> None:
    """
    Insert a resource that was checked.
    """
    revision = await next_revision(db)
    row = {
        "owner": owner,
        kind.id_column.name: resource_id,
        "created_revision": revision,
        "revision": revision,
        "create_time": database_now(),
        "update_time": database_now(),
        **_columns(kind, owner, resource_id, message, ring),
    }
    await db.execute(sa.insert(kind.table).values(row))
    await feed_change(db, kind.text(owner, resource_id), kind.name, revision)


async def update(
    db: AsyncConnection, kind: Kind, row: Any, message: Message, ring: KeyRing
) -> None:
    """
    Replace what callers set.
    """
    revision = await next_revision(db)
    owner, resource_id = row.owner, getattr(row, kind.id_column.name)
    values = {"revision": revision, "update_time": database_now()}
    values |= _columns(kind, owner, resource_id, message, ring)
    await db.execute(sa.update(kind.table).where(_is(kind, owner, resource_id)).values(values))
    await feed_change(db, kind.name_of(row), kind.name, revision)


async def delete(db: AsyncConnection, kind: Kind, row: Any) -> None:
    """
    Delete a resource; raises where subscriptions use it.
    """
    name = kind.name_of(row)
    used = (await usage(db, kind, [name])).get(name, 0)
    if used:
        raise kind.in_use(name, used)
    revision = await next_revision(db)
    await db.execute(
        sa.delete(kind.table).where(_is(kind, row.owner, getattr(row, kind.id_column.name)))
    )
    await feed_change(db, name, kind.name, revision, deleted=True)


async def list_rows(
    db: AsyncConnection, kind: Kind, owner: str, *, size: int, begin_after: PageKey | None
) -> tuple[Sequence[Any], PageKey | None]:
    """
    List the rows of an owner, oldest first, and the key that the next page begins after.
    """
    order = kind.table.c.created_revision
    query = sa.select(kind.table).where(kind.table.c.owner == owner).order_by(order)
    if begin_after is not None:
        query = query.where(order > int(begin_after[0]))
    rows = (await db.execute(query.limit(size + 1))).all()
    return rows[:size], [rows[size - 1].created_revision] if len(rows) > size else None


async def usage(db: AsyncConnection, kind: Kind, wanted: Sequence[str]) -> dict[str, int]:
    """
    Count the subscriptions that use each of the resources *wanted*; deleted ones do not count.
    """
    column = subscriptions.c[kind.name]
    query = (
        sa.select(column, sa.func.count())
        .where(column.in_(wanted), subscriptions.c.delete_time.is_(None))
        .group_by(column)
    )
    rows = (await db.execute(query)).all()
    return {str(row[0]): int(row[1]) for row in rows}


def message_of(kind: Kind, row: Any, ring: KeyRing, used: int = 0) -> Any:
    """
    Return the whole resource with its secrets.
    """
    owner, resource_id = row.owner, getattr(row, kind.id_column.name)
    opened = ring.open(row.sealed_config, kind.associated(owner, resource_id))
    message: Any = kind.message.FromString(opened)
    message.name = kind.name_of(row)
    message.subscription_count = used
    message.revision = row.revision
    message.etag = etag_of(row.revision)
    message.create_time.FromDatetime(row.create_time)
    message.update_time.FromDatetime(row.update_time)
    return message


def configured(message: MessageT) -> MessageT:
    """
    Return a copy with what callers set, secrets included.
    """
    copy = type(message)()
    copy.CopyFrom(message)
    for field in _SERVERS:
        copy.ClearField(field)
    return copy


def _columns(
    kind: Kind, owner: str, resource_id: str, message: Message, ring: KeyRing
) -> dict[str, Any]:
    config = configured(message)
    sealed = ring.seal(config.SerializeToString(), kind.associated(owner, resource_id))
    return {**kind.columns(config), "sealed_config": sealed}


def _is(kind: Kind, owner: str, resource_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(kind.table.c.owner == owner, kind.id_column == resource_id)

"""
Credentials, client certificates and signing keys, which subscriptions refer to. Each function
runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.errors import (
    ClientCertificateExists,
    ClientCertificateInUse,
    ClientCertificateNotFound,
    CredentialExists,
    CredentialInUse,
    CredentialNotFound,
    SigningKeyExists,
    SigningKeyInUse,
    SigningKeyNotFound,
)
from config_service.store import associated_data
from config_service.store.changes import feed_change, next_revision
from config_service.store.rows import OwnedRow, of_parent
from config_service.store.schema import (
    client_certificates,
    credentials,
    signing_keys,
    subscriptions,
)
from config_service.store.subscription_rows import etag_of
from service_runtime.database.instants import database_now
from service_runtime.database.typed_rows import RowReader
from service_runtime.keys.keyring import AssociatedData, KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.errors import RpcError
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.signing_key_pb2 import SigningKey

ResourceT = TypeVar("ResourceT", Credential, ClientCertificate, SigningKey)
ColumnValue = str | int | bytes | datetime | sa.ColumnElement[datetime]

# The server sets these fields; they are not stored with those that callers set.
_SET_BY_SERVER = ("name", "subscription_count", "create_time", "update_time", "revision", "etag")


@dataclass(frozen=True, slots=True)
class ResourceKind(Generic[ResourceT]):
    """
    A kind of resource. *name* is its field in subscriptions and in the feed, *prefix* begins
    the ids that the server chooses, and *columns* returns columns that lists filter by.
    """

    name: str
    prefix: str
    text: Callable[[str, str], str]
    associated: Callable[[str, str], AssociatedData]
    table: sa.Table
    message: type[ResourceT]
    columns: Callable[[ResourceT], Mapping[str, ColumnValue]]
    not_found: Callable[[str], RpcError]
    exists: Callable[[str], RpcError]
    in_use: Callable[[str, int], RpcError]

    @property
    def id_column(self) -> sa.ColumnElement[str]:
        """
        The column of the ids.
        """
        return self.table.c[f"{self.name}_id"]

    @property
    def rows(self) -> RowReader[OwnedRow]:
        """
        The reader of the table.
        """
        return RowReader(OwnedRow, self.table, other_columns={"resource_id": self.id_column})

    def name_of(self, row: OwnedRow) -> str:
        """
        Return the resource name of a row.
        """
        return self.text(row.owner, row.resource_id)


def _credential_columns(message: Credential) -> Mapping[str, ColumnValue]:
    return {"method": message.WhichOneof("method") or ""}


def _certificate_columns(message: ClientCertificate) -> Mapping[str, ColumnValue]:
    not_after = message.not_after.ToDatetime(tzinfo=UTC)
    return {"sha256_fingerprint": message.sha256_fingerprint, "not_after": not_after}


def _signing_key_columns(_message: SigningKey) -> Mapping[str, ColumnValue]:
    return {}


CREDENTIAL = ResourceKind(
    "credential",
    "crd",
    names.credential,
    associated_data.credential,
    credentials,
    Credential,
    _credential_columns,
    CredentialNotFound,
    CredentialExists,
    CredentialInUse,
)
CLIENT_CERTIFICATE = ResourceKind(
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
SIGNING_KEY = ResourceKind(
    "signing_key",
    "key",
    names.signing_key,
    associated_data.shared_signing_key,
    signing_keys,
    SigningKey,
    _signing_key_columns,
    SigningKeyNotFound,
    SigningKeyExists,
    SigningKeyInUse,
)


async def find(
    db: AsyncConnection, kind: ResourceKind[ResourceT], owner: str, resource_id: str
) -> OwnedRow | None:
    """
    Return a resource, or None.
    """
    rows = kind.rows
    return await rows.first(db, rows.select().where(_is(kind, owner, resource_id)))


async def insert(
    db: AsyncConnection,
    kind: ResourceKind[ResourceT],
    owner: str,
    resource_id: str,
    message: ResourceT,
    ring: KeyRing,
) -> None:
    """
    Insert a resource that has passed the checks.
    """
    revision = await next_revision(db)
    row = {
        "owner": owner,
        f"{kind.name}_id": resource_id,
        "created_revision": revision,
        "revision": revision,
        "create_time": database_now(),
        "update_time": database_now(),
        **_config_columns(kind, owner, resource_id, message, ring),
    }
    await db.execute(sa.insert(kind.table).values(row))
    await feed_change(db, kind.text(owner, resource_id), kind.name, revision)


async def update(
    db: AsyncConnection,
    kind: ResourceKind[ResourceT],
    row: OwnedRow,
    message: ResourceT,
    ring: KeyRing,
) -> None:
    """
    Replace the fields that callers set.
    """
    revision = await next_revision(db)
    same = _is(kind, row.owner, row.resource_id)
    values = {
        "revision": revision,
        "update_time": database_now(),
        **_config_columns(kind, row.owner, row.resource_id, message, ring),
    }
    await db.execute(sa.update(kind.table).where(same).values(values))
    await feed_change(db, kind.name_of(row), kind.name, revision)


async def delete(db: AsyncConnection, kind: ResourceKind[ResourceT], row: OwnedRow) -> None:
    """
    Delete a resource. Raises `CredentialInUse`, `ClientCertificateInUse` or `SigningKeyInUse`.
    """
    name = kind.name_of(row)
    used = (await usage(db, kind, [name])).get(name, 0)
    if used:
        raise kind.in_use(name, used)
    revision = await next_revision(db)
    await db.execute(sa.delete(kind.table).where(_is(kind, row.owner, row.resource_id)))
    await feed_change(db, name, kind.name, revision, deleted=True)


async def list_rows(
    db: AsyncConnection,
    kind: ResourceKind[ResourceT],
    parent: str,
    *,
    size: int,
    begin_after: PageKey | None,
) -> Page[OwnedRow]:
    """
    List the resources of *parent*, oldest first.
    """
    rows, order = kind.rows, kind.table.c.created_revision
    query = rows.select().where(of_parent(kind.table.c.owner, parent)).order_by(order)
    if begin_after is not None:
        query = query.where(order > int(begin_after[0]))
    found = await rows.all(db, query.limit(size + 1))
    return Page(found, size, lambda row: [row.created_revision])


async def usage(
    db: AsyncConnection, kind: ResourceKind[ResourceT], wanted: Sequence[str]
) -> dict[str, int]:
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


def message_of(
    kind: ResourceKind[ResourceT], row: OwnedRow, ring: KeyRing, used: int = 0
) -> ResourceT:
    """
    Return the whole resource, secrets included.
    """
    associated = kind.associated(row.owner, row.resource_id)
    message = kind.message.FromString(ring.open(row.sealed_config, associated))
    message.name = kind.name_of(row)
    message.subscription_count = used
    message.revision = row.revision
    message.etag = etag_of(row.revision)
    message.create_time.FromDatetime(row.create_time)
    message.update_time.FromDatetime(row.update_time)
    return message


def configured(message: ResourceT) -> ResourceT:
    """
    Return a copy with only the fields that callers set, secrets included.
    """
    copy = type(message)()
    copy.CopyFrom(message)
    for field in _SET_BY_SERVER:
        copy.ClearField(field)  # type: ignore[arg-type]
    return copy


def _config_columns(
    kind: ResourceKind[ResourceT], owner: str, resource_id: str, message: ResourceT, ring: KeyRing
) -> dict[str, ColumnValue]:
    config = configured(message)
    sealed = ring.seal(config.SerializeToString(), kind.associated(owner, resource_id))
    return {**kind.columns(config), "sealed_config": sealed}


def _is(kind: ResourceKind[ResourceT], owner: str, resource_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(kind.table.c.owner == owner, kind.id_column == resource_id)

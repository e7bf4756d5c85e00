"""
What the methods on credentials and on client certificates have in common.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Generic

import sqlalchemy as sa
from google.protobuf.empty_pb2 import Empty

from config_service.api import request_fields
from config_service.rules import credentials
from config_service.rules.errors import EtagMismatch
from config_service.store import owned_resources
from config_service.store.audit import differences, shown_fields
from config_service.store.changes import changing, count_of, remember, remembered
from config_service.store.owned_resources import ResourceKind, ResourceT
from config_service.store.rows import OwnedRow
from config_service.store.shown_urls import shown_to_caller
from config_service.store.store import Store
from config_service.store.subscription_rows import etag_of
from service_runtime.audit.entries import AuditChange
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import masks, names
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1 import config_service_pb2 as pb

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

CreateRequest = pb.CreateCredentialRequest | pb.CreateClientCertificateRequest
ListRequest = pb.ListCredentialsRequest | pb.ListClientCertificatesRequest
UpdateRequest = pb.UpdateCredentialRequest | pb.UpdateClientCertificateRequest
DeleteRequest = pb.DeleteCredentialRequest | pb.DeleteClientCertificateRequest

# These fields are secrets or contain one: the audit log does not hold their values.
_SECRET = frozenset({*credentials.SECRETS, "pem", "pkcs12"})


@dataclass(frozen=True, slots=True)
class ResourceOperations(Generic[ResourceT]):
    """
    The operations on a kind of resource.

    *check* refuses a resource that breaks a rule and returns what is stored of it, *public*
    removes its secrets in place, with a function for what is shown of URLs, *keep_secret* copies
    the secret of its first argument to the second where that lacks it and may have it, and
    *check_use* refuses a change that subscriptions which use the resource do not allow.
    """

    kind: ResourceKind[ResourceT]
    check: Callable[[ResourceT, UrlRules, datetime], ResourceT]
    public: Callable[[ResourceT, Callable[[str], str]], ResourceT]
    keep_secret: Callable[[ResourceT, ResourceT, UrlRules], None]
    check_use: Callable[[AsyncConnection, ResourceT, KeyRing], Awaitable[None]]

    async def create(
        self, store: Store, request: CreateRequest, chosen: str, given: ResourceT
    ) -> ResourceT:
        kind = self.kind
        owner = names.parse_owner(request.parent)
        resource_id = request_fields.chosen_id(chosen, kind.prefix, f"{kind.name}_id")
        check_request_id(request.request_id)
        name, method = kind.text(owner, resource_id), self._method("Create")
        async with changing(store.engine) as db:
            earlier = await remembered(db, owner, request.request_id, method, request)
            if earlier is not None:
                return await self._shown(db, store, earlier)
            wanted = await self._checked(db, store, given)
            if await owned_resources.find(db, kind, owner, resource_id) is not None:
                raise kind.exists(name)
            store.limits.check(kind.table.name, owner, await count_of(db, kind.table, owner))
            if request.validate_only:
                return self._public(store, wanted)
            ring = store.sealing.ring
            await owned_resources.insert(db, kind, owner, resource_id, wanted, ring)
            await remember(db, owner, request.request_id, method, request, name)
            await store.audit.record(db, method, name, _changes(kind.message(), wanted))
            answer = await self._shown(db, store, name)
        await store.changed()
        return answer

    async def get(self, store: Store, name: str) -> ResourceT:
        async with reading(store.engine) as db:
            return await self._shown(db, store, name)

    async def list_page(
        self, store: Store, tokens: PageTokens, request: ListRequest
    ) -> tuple[Sequence[ResourceT], str]:
        kind = self.kind
        parent = names.parse_parent(request.parent, wildcard=True)
        async with reading(store.engine) as db:
            page = await owned_resources.list_rows(
                db,
                kind,
                parent,
                size=page_size(request.page_size),
                begin_after=tokens.read(request.page_token, request),
            )
            used = await owned_resources.usage(db, kind, [kind.name_of(row) for row in page.rows])
        ring = store.sealing.ring
        shown, last = page.fit(
            [
                self._public(
                    store,
                    owned_resources.message_of(kind, row, ring, used.get(kind.name_of(row), 0)),
                )
                for row in page.rows
            ]
        )
        return shown, tokens.make(last, request)

    async def update(self, store: Store, request: UpdateRequest, given: ResourceT) -> ResourceT:
        kind, ring = self.kind, store.sealing.ring
        name = names.parse(kind.name, given.name, f"{kind.name}.name")
        fields = masks.masked_fields(given, request.update_mask)
        async with changing(store.engine) as db:
            row = await _found(db, kind, name, given.etag)
            before = owned_resources.message_of(kind, row, ring)
            after = masks.merged(before, given, fields)
            self.keep_secret(before, after, store.sealing.rules)
            after = await self._checked(db, store, after)
            await self.check_use(db, after, ring)
            if request.validate_only:
                return self._public(store, after)
            await owned_resources.update(db, kind, row, after, ring)
            method = self._method("Update")
            await store.audit.record(db, method, given.name, _changes(before, after))
            answer = await self._shown(db, store, given.name)
        await store.changed()
        return answer

    async def delete(self, store: Store, request: DeleteRequest) -> Empty:
        kind = self.kind
        name = names.parse(kind.name, request.name)
        async with changing(store.engine) as db:
            row = await _found(db, kind, name, request.etag)
            await owned_resources.delete(db, kind, row)
            await store.audit.record(db, self._method("Delete"), request.name)
        await store.changed()
        return Empty()

    async def _checked(self, db: AsyncConnection, store: Store, wanted: ResourceT) -> ResourceT:
        now = (await db.execute(sa.select(database_now()))).scalar_one()
        return self.check(wanted, store.sealing.rules, now)

    async def _shown(self, db: AsyncConnection, store: Store, name: str) -> ResourceT:
        kind = self.kind
        row = await _found(db, kind, names.parse(kind.name, name))
        used = (await owned_resources.usage(db, kind, [name])).get(name, 0)
        ring = store.sealing.ring
        return self._public(store, owned_resources.message_of(kind, row, ring, used))

    def _public(self, store: Store, message: ResourceT) -> ResourceT:
        return self.public(message, partial(shown_to_caller, sealing=store.sealing))

    def _method(self, verb: str) -> str:
        return f"{verb}{self.kind.message.DESCRIPTOR.name}"


async def _found(
    db: AsyncConnection, kind: ResourceKind[ResourceT], name: names.Name, etag: str = ""
) -> OwnedRow:
    """
    Return a resource. Raises what the kind says is not found, and `EtagMismatch` where *etag*
    is set and is not that of the resource.
    """
    row = await owned_resources.find(db, kind, name.owner, name.id)
    if row is None:
        raise kind.not_found(kind.text(name.owner, name.id))
    if etag and etag != etag_of(row.revision):
        raise EtagMismatch(kind.name_of(row))
    return row


def _changes(before: ResourceT, after: ResourceT) -> Sequence[AuditChange]:
    return differences(
        shown_fields(owned_resources.configured(before)),
        shown_fields(owned_resources.configured(after)),
        _SECRET,
    )

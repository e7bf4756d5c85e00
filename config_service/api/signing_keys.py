"""
The methods of `ConfigService` on signing keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from config_service.api import request_fields
from config_service.rules.errors import EtagMismatch, SigningKeyExists, SigningKeyNotFound
from config_service.rules.signing_keys import check, secret_faults
from config_service.store import owned_resources
from config_service.store.audit import differences, shown_fields
from config_service.store.changes import changing, count_of, remember, remembered
from config_service.store.owned_resources import SIGNING_KEY
from config_service.store.rows import OwnedRow
from config_service.store.signing import keys
from config_service.store.store import Store
from config_service.store.subscription_rows import etag_of
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from service_runtime.rules.signing_secrets import new_secret
from shipedge.webhooks.config.v1 import signing_key_pb2 as pb
from shipedge.webhooks.config.v1.signing_key_pb2 import SigningKey

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]

_SECRET = frozenset({"signing_secrets"})


class SigningKeyMethods:
    """
    Creates, shows, rotates and deletes signing keys.
    """

    _store: Store
    _tokens: PageTokens

    async def CreateSigningKey(
        self, request: pb.CreateSigningKeyRequest, context: Context
    ) -> SigningKey:
        """
        Create a signing key. No other answer shows a secret that was made.
        """
        owner, given = names.parse_owner(request.parent), request.signing_key
        key_id = request_fields.chosen_id(
            request.signing_key_id, SIGNING_KEY.prefix, "signing_key_id"
        )
        check_request_id(request.request_id)
        check(given)
        made = "" if given.secret else new_secret()
        wanted = SigningKey(display_name=given.display_name, secret=given.secret or made)
        name, use = names.signing_key(owner, key_id), (request.request_id, "CreateSigningKey")
        async with changing(self._store.engine) as db:
            earlier = await remembered(db, owner, *use, request)
            if earlier is not None:
                return await self._key(db, earlier)
            await self._check_new_key(db, owner, key_id)
            if request.validate_only:
                return SigningKey(display_name=given.display_name)
            await keys.insert(db, owner, key_id, wanted, self._store.sealing.ring)
            await remember(db, owner, *use, request, name)
            described = SigningKey(display_name=given.display_name)
            after = {**shown_fields(described), "signing_secrets": "changed"}
            await self._store.audit.record(db, use[1], name, differences({}, after, _SECRET))
            answer = await self._key(db, name)
        await self._store.changed()
        answer.secret = made
        return answer

    async def GetSigningKey(self, request: pb.GetSigningKeyRequest, context: Context) -> SigningKey:
        """
        Return a signing key without its secrets.
        """
        async with reading(self._store.engine) as db:
            return await self._key(db, request.name)

    async def ListSigningKeys(
        self, request: pb.ListSigningKeysRequest, context: Context
    ) -> pb.ListSigningKeysResponse:
        """
        List the signing keys of an owner or of all, oldest first.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        async with reading(self._store.engine) as db:
            page = await owned_resources.list_rows(
                db,
                SIGNING_KEY,
                parent,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
            found = await keys.messages(db, page.rows, self._store.sealing.ring)
        shown, last = page.fit(found)
        token = self._tokens.make(last, request)
        return pb.ListSigningKeysResponse(signing_keys=shown, next_page_token=token)

    async def RotateSigningKey(
        self, request: pb.RotateSigningKeyRequest, context: Context
    ) -> SigningKey:
        """
        Give a signing key a new secret. No other answer shows one that was made.
        """
        name = names.parse("signing_key", request.name)
        grace = request_fields.grace_period(
            request.grace_period if request.HasField("grace_period") else None
        )
        check_request_id(request.request_id)
        for fault in secret_faults(request.secret) if request.secret else ():
            raise request_fields.refused("secret", fault)
        made = "" if request.secret else new_secret()
        use = (request.request_id, "RotateSigningKey", request)
        async with changing(self._store.engine) as db:
            if await remembered(db, name.owner, *use) is not None:
                return await self._key(db, request.name)
            row = await _found(db, name)
            await keys.rotate(db, row, request.secret or made, grace, self._store.sealing.ring)
            await remember(db, name.owner, *use, request.name)
            changes = differences({}, {"signing_secrets": "changed"}, _SECRET)
            await self._store.audit.record(db, use[1], request.name, changes)
            answer = await self._key(db, request.name)
        await self._store.changed()
        answer.secret = made
        return answer

    async def DeleteSigningKey(
        self, request: pb.DeleteSigningKeyRequest, context: Context
    ) -> Empty:
        """
        Delete a signing key. Raises `SigningKeyInUse`.
        """
        name = names.parse("signing_key", request.name)
        async with changing(self._store.engine) as db:
            row = await _found(db, name)
            if request.etag and request.etag != etag_of(row.revision):
                raise EtagMismatch(request.name)
            await keys.delete(db, row)
            await self._store.audit.record(db, "DeleteSigningKey", request.name)
        await self._store.changed()
        return Empty()

    async def _check_new_key(self, db: AsyncConnection, owner: str, key_id: str) -> None:
        if await owned_resources.find(db, SIGNING_KEY, owner, key_id) is not None:
            raise SigningKeyExists(names.signing_key(owner, key_id))
        count = await count_of(db, SIGNING_KEY.table, owner)
        self._store.limits.check(SIGNING_KEY.table.name, owner, count)

    async def _key(self, db: AsyncConnection, name: str) -> SigningKey:
        row = await _found(db, names.parse("signing_key", name))
        (message,) = await keys.messages(db, [row], self._store.sealing.ring)
        return message


async def _found(db: AsyncConnection, name: names.Name) -> OwnedRow:
    """
    Return a signing key. Raises `SigningKeyNotFound`.
    """
    row = await owned_resources.find(db, SIGNING_KEY, name.owner, name.id)
    if row is None:
        raise SigningKeyNotFound(names.signing_key(name.owner, name.id))
    return row

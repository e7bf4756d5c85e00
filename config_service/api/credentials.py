"""
The methods of `ConfigService` on credentials and client certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from google.protobuf.empty_pb2 import Empty

from config_service.api import request_fields
from config_service.api.subscriptions import SubscriptionMethods
from config_service.rules import certificates, credentials
from config_service.rules.errors import EtagMismatch
from config_service.store import owned_resources
from config_service.store.changes import audit, differences, remember, remembered, shown_fields
from config_service.store.owned_resources import CLIENT_CERTIFICATE, CREDENTIAL, Kind
from config_service.store.subscription_rows import etag_of
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.rpc import masks, names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import fitting, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate
from shipedge.webhooks.config.v1.credential_pb2 import Credential

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]

_PUBLIC: dict[str, Callable[[Any], Any]] = {
    CREDENTIAL.name: credentials.public,
    CLIENT_CERTIFICATE.name: certificates.public,
}
# The fields that hold secrets or hide them: the audit log says only that they changed.
_SECRET = frozenset({*credentials.SECRETS, "pem", "pkcs12"})


class CredentialMethods(SubscriptionMethods):
    """
    Creates, shows, changes and deletes what subscriptions refer to.
    """

    async def CreateCredential(
        self, request: pb.CreateCredentialRequest, context: Context
    ) -> Credential:
        """
        Create a credential.
        """
        made: Credential = await self._create(CREDENTIAL, request, request.credential_id)
        return made

    async def GetCredential(self, request: pb.GetCredentialRequest, context: Context) -> Credential:
        """
        Return a credential without its secret.
        """
        found: Credential = await self._get(CREDENTIAL, request.name)
        return found

    async def ListCredentials(
        self, request: pb.ListCredentialsRequest, context: Context
    ) -> pb.ListCredentialsResponse:
        """
        List the credentials of an owner.
        """
        found, token = await self._list(CREDENTIAL, request)
        return pb.ListCredentialsResponse(credentials=found, next_page_token=token)

    async def UpdateCredential(
        self, request: pb.UpdateCredentialRequest, context: Context
    ) -> Credential:
        """
        Change a credential; a secret that is not given stays.
        """
        changed: Credential = await self._update(CREDENTIAL, request, request.credential)
        return changed

    async def DeleteCredential(
        self, request: pb.DeleteCredentialRequest, context: Context
    ) -> Empty:
        """
        Delete a credential that no subscription uses.
        """
        return await self._delete(CREDENTIAL, request)

    async def CreateClientCertificate(
        self, request: pb.CreateClientCertificateRequest, context: Context
    ) -> ClientCertificate:
        """
        Take up a client certificate and its key.
        """
        made: ClientCertificate = await self._create(
            CLIENT_CERTIFICATE, request, request.client_certificate_id
        )
        return made

    async def GetClientCertificate(
        self, request: pb.GetClientCertificateRequest, context: Context
    ) -> ClientCertificate:
        """
        Describe a client certificate.
        """
        found: ClientCertificate = await self._get(CLIENT_CERTIFICATE, request.name)
        return found

    async def ListClientCertificates(
        self, request: pb.ListClientCertificatesRequest, context: Context
    ) -> pb.ListClientCertificatesResponse:
        """
        List the client certificates of an owner.
        """
        found, token = await self._list(CLIENT_CERTIFICATE, request)
        return pb.ListClientCertificatesResponse(client_certificates=found, next_page_token=token)

    async def UpdateClientCertificate(
        self, request: pb.UpdateClientCertificateRequest, context: Context
    ) -> ClientCertificate:
        """
        Rename or replace a client certificate.
        """
        changed: ClientCertificate = await self._update(
            CLIENT_CERTIFICATE, request, request.client_certificate
        )
        return changed

    async def DeleteClientCertificate(
        self, request: pb.DeleteClientCertificateRequest, context: Context
    ) -> Empty:
        """
        Delete a client certificate that no subscription uses.
        """
        return await self._delete(CLIENT_CERTIFICATE, request)

    async def _create(self, kind: Kind, request: Any, chosen: str) -> Any:
        owner = names.parse_owner(request.parent)
        resource_id = request_fields.chosen_id(chosen, kind.prefix, f"{kind.name}_id")
        check_request_id(request.request_id)
        name, method = kind.text(owner, resource_id), _method("Create", kind)
        async with writing(self._store.engine) as db:
            made = await remembered(db, owner, request.request_id, method, request)
            if made is not None:
                return await self._shown(db, kind, made)
            wanted = await self._checked(db, kind, getattr(request, kind.name))
            if await owned_resources.find(db, kind, owner, resource_id) is not None:
                raise kind.exists(name)
            if request.validate_only:
                return _PUBLIC[kind.name](wanted)
            await owned_resources.insert(
                db, kind, owner, resource_id, wanted, self._store.sealing.ring
            )
            await remember(db, owner, request.request_id, method, request, name)
            await self._note(db, name, method, kind.message(), wanted)
            answer = await self._shown(db, kind, name)
        self._store.changed()
        return answer

    async def _get(self, kind: Kind, name: str) -> Any:
        async with reading(self._store.engine) as db:
            return await self._shown(db, kind, name)

    async def _list(self, kind: Kind, request: Any) -> tuple[list[Any], str]:
        owner = names.parse_owner(request.parent)
        async with reading(self._store.engine) as db:
            rows, last = await owned_resources.list_rows(
                db,
                kind,
                owner,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
            used = await owned_resources.usage(db, kind, [kind.name_of(row) for row in rows])
        ring = self._store.sealing.ring
        found = [
            owned_resources.message_of(kind, row, ring, used.get(kind.name_of(row), 0))
            for row in rows
        ]
        page = fitting([_PUBLIC[kind.name](it) for it in found])
        if len(page) < len(rows):
            last = [rows[len(page) - 1].created_revision]
        return list(page), self._tokens.make(last, request) if last else ""

    async def _update(self, kind: Kind, request: Any, given: Any) -> Any:
        name = names.parse(kind.name, given.name, f"{kind.name}.name")
        fields = masks.masked_fields(given, request.update_mask)
        async with writing(self._store.engine) as db:
            row = await self._row(db, kind, name, given.etag)
            before = owned_resources.message_of(kind, row, self._store.sealing.ring)
            after = masks.merged(before, given, fields)
            if kind is CREDENTIAL:
                credentials.kept_secret(before, after)
            after = await self._checked(db, kind, after)
            if request.validate_only:
                return _PUBLIC[kind.name](after)
            await owned_resources.update(db, kind, row, after, self._store.sealing.ring)
            await self._note(db, given.name, _method("Update", kind), before, after)
            answer = await self._shown(db, kind, given.name)
        self._store.changed()
        return answer

    async def _delete(self, kind: Kind, request: Any) -> Empty:
        name = names.parse(kind.name, request.name)
        async with writing(self._store.engine) as db:
            row = await self._row(db, kind, name, request.etag)
            await owned_resources.delete(db, kind, row)
            empty = kind.message()
            await self._note(db, request.name, _method("Delete", kind), empty, empty)
        self._store.changed()
        return Empty()

    async def _checked(self, db: AsyncConnection, kind: Kind, wanted: Any) -> Any:
        """
        Refuse what breaks a rule; return what is to be kept.
        """
        if kind is CREDENTIAL:
            credentials.check(wanted, self._store.sealing.rules)
            return wanted
        if found := list(credentials.display_name_faults(wanted.display_name)):
            raise InvalidArgument(
                "The client certificate is not valid.",
                faults=[FieldFault(f"client_certificate.{field}", text) for field, text in found],
            )
        now = (await db.execute(sa.select(database_now()))).scalar_one()
        return certificates.stored(wanted, certificates.read(wanted, now))

    async def _row(self, db: AsyncConnection, kind: Kind, name: names.Name, etag: str) -> Any:
        row = await owned_resources.find(db, kind, name.owner, name.id)
        if row is None:
            raise kind.not_found(kind.text(name.owner, name.id))
        if etag and etag != etag_of(row.revision):
            raise EtagMismatch(kind.name_of(row))
        return row

    async def _shown(self, db: AsyncConnection, kind: Kind, text: str) -> Any:
        row = await self._row(db, kind, names.parse(kind.name, text), "")
        used = (await owned_resources.usage(db, kind, [text])).get(text, 0)
        message = owned_resources.message_of(kind, row, self._store.sealing.ring, used)
        return _PUBLIC[kind.name](message)

    async def _note(
        self, db: AsyncConnection, name: str, method: str, before: Any, after: Any
    ) -> None:
        await audit(
            db,
            caller=current_caller.get().name,
            method=method,
            resource=name,
            owner=names.owner_of(name),
            changes=differences(
                shown_fields(owned_resources.configured(before)),
                shown_fields(owned_resources.configured(after)),
                _SECRET,
            ),
        )


def _method(verb: str, kind: Kind) -> str:
    return f"{verb}{kind.message.DESCRIPTOR.name}"

"""
The methods of `ConfigService` on credentials and client certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from config_service.api.owned_resources import ResourceOperations
from config_service.rules import certificates, credentials
from config_service.rules.refusals import refuse
from config_service.rules.subscriptions import collision_faults
from config_service.store import subscription_store
from config_service.store.owned_resources import CLIENT_CERTIFICATE, CREDENTIAL
from config_service.store.store import Store
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc.paging import PageTokens
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate
from shipedge.webhooks.config.v1.credential_pb2 import Credential

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]


def _checked_credential(wanted: Credential, rules: UrlRules, _now: datetime) -> Credential:
    credentials.check(wanted, rules)
    return wanted


def _checked_certificate(
    wanted: ClientCertificate, _rules: UrlRules, now: datetime
) -> ClientCertificate:
    faults = credentials.display_name_faults(wanted.display_name)
    refuse("The client certificate is not valid.", "client_certificate", faults)
    return certificates.stored(wanted, certificates.read(wanted, now))


def _keep_nothing(_before: ClientCertificate, _after: ClientCertificate, _rules: UrlRules) -> None:
    """
    Keep no key: a certificate is replaced as a whole.
    """


def _public_certificate(
    certificate: ClientCertificate, _shown: Callable[[str], str]
) -> ClientCertificate:
    return certificates.public(certificate)


async def _check_headers(db: AsyncConnection, after: Credential, ring: KeyRing) -> None:
    """
    Refuse a header that subscriptions which use the credential set themselves.
    """
    header, method = credentials.header_of(after), after.WhichOneof("method")
    for user in await subscription_store.users_of(db, after.name, ring):
        if any(collision_faults(user, after)):
            text = f"must not be {header!r}: {user.name} has a custom header of this name"
            field = f"{method}.header" if header != "Authorization" else f"{method}"
            refuse("The credential is not valid.", "credential", [(field, text)])


async def _any_use(_db: AsyncConnection, _after: ClientCertificate, _ring: KeyRing) -> None:
    """
    Allow every change: subscriptions use a certificate as it is.
    """


_CREDENTIALS = ResourceOperations(
    CREDENTIAL, _checked_credential, credentials.public, credentials.keep_secret, _check_headers
)
_CERTIFICATES = ResourceOperations(
    CLIENT_CERTIFICATE, _checked_certificate, _public_certificate, _keep_nothing, _any_use
)


class CredentialMethods:
    """
    Creates, shows, changes and deletes credentials and client certificates.
    """

    _store: Store
    _tokens: PageTokens

    async def CreateCredential(
        self, request: pb.CreateCredentialRequest, context: Context
    ) -> Credential:
        """
        Create a credential. No answer shows its secret.
        """
        return await _CREDENTIALS.create(
            self._store, request, request.credential_id, request.credential
        )

    async def GetCredential(self, request: pb.GetCredentialRequest, context: Context) -> Credential:
        """
        Return a credential without its secret.
        """
        return await _CREDENTIALS.get(self._store, request.name)

    async def ListCredentials(
        self, request: pb.ListCredentialsRequest, context: Context
    ) -> pb.ListCredentialsResponse:
        """
        List the credentials of an owner, oldest first.
        """
        found, token = await _CREDENTIALS.list_page(self._store, self._tokens, request)
        return pb.ListCredentialsResponse(credentials=found, next_page_token=token)

    async def UpdateCredential(
        self, request: pb.UpdateCredentialRequest, context: Context
    ) -> Credential:
        """
        Change a credential. A secret that is not given stays as it is.
        """
        return await _CREDENTIALS.update(self._store, request, request.credential)

    async def DeleteCredential(
        self, request: pb.DeleteCredentialRequest, context: Context
    ) -> Empty:
        """
        Delete a credential. Raises `CredentialInUse`.
        """
        return await _CREDENTIALS.delete(self._store, request)

    async def CreateClientCertificate(
        self, request: pb.CreateClientCertificateRequest, context: Context
    ) -> ClientCertificate:
        """
        Store a client certificate and its key, given as PEM or PKCS#12.
        """
        return await _CERTIFICATES.create(
            self._store, request, request.client_certificate_id, request.client_certificate
        )

    async def GetClientCertificate(
        self, request: pb.GetClientCertificateRequest, context: Context
    ) -> ClientCertificate:
        """
        Return the description of a client certificate, without certificate and key.
        """
        return await _CERTIFICATES.get(self._store, request.name)

    async def ListClientCertificates(
        self, request: pb.ListClientCertificatesRequest, context: Context
    ) -> pb.ListClientCertificatesResponse:
        """
        List the client certificates of an owner, oldest first.
        """
        found, token = await _CERTIFICATES.list_page(self._store, self._tokens, request)
        return pb.ListClientCertificatesResponse(client_certificates=found, next_page_token=token)

    async def UpdateClientCertificate(
        self, request: pb.UpdateClientCertificateRequest, context: Context
    ) -> ClientCertificate:
        """
        Rename a client certificate, or replace certificate and key together.
        """
        return await _CERTIFICATES.update(self._store, request, request.client_certificate)

    async def DeleteClientCertificate(
        self, request: pb.DeleteClientCertificateRequest, context: Context
    ) -> Empty:
        """
        Delete a client certificate. Raises `ClientCertificateInUse`.
        """
        return await _CERTIFICATES.delete(self._store, request)

"""
What webhooks authenticate and sign with: credentials, client certificates, signing keys.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import now_of, owner_of, services_of
from console.rpc.services import answer
from console.web.rendering import page
from console.words import expiry
from shipedge.webhooks.config.v1 import signing_key_pb2
from shipedge.webhooks.config.v1.config_service_pb2 import (
    ListClientCertificatesRequest,
    ListCredentialsRequest,
)

METHODS = {
    "basic": "HTTP Basic",
    "bearer": "Bearer token",
    "api_key": "Key in a header",
    "oauth2_client_credentials": "OAuth 2.0 client credentials",
    "hmac": "HMAC of the body",
}

# More than the services allow an owner to have.
_MOST = 1_000


async def show(request: Request) -> Response:
    """
    Show all of an owner, without secrets, and for how long certificates are valid.
    """
    config, owner, now = services_of(request).config, owner_of(request), now_of(request)
    credentials = await answer(
        config.ListCredentials(ListCredentialsRequest(parent=owner, page_size=_MOST))
    )
    certificates = await answer(
        config.ListClientCertificates(ListClientCertificatesRequest(parent=owner, page_size=_MOST))
    )
    keys = await answer(
        config.ListSigningKeys(
            signing_key_pb2.ListSigningKeysRequest(parent=owner, page_size=_MOST)
        )
    )
    return page(
        request,
        "authentication.html",
        credentials=credentials.credentials,
        methods=METHODS,
        certificates=[
            (each, expiry.of_certificate(each.not_before, each.not_after, now))
            for each in certificates.client_certificates
        ],
        keys=keys.signing_keys,
    )

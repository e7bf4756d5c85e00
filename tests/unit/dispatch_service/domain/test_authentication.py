"""
How requests authenticate.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs

import pytest

from dispatch_service.delivery.request import MASK, build, masked_headers
from dispatch_service.domain.authentication import (
    ClientCredentials,
    compile_credential,
    compile_identity,
    fixed_headers,
)
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate, PemMaterial
from shipedge.webhooks.config.v1.credential_pb2 import (
    Credential,
    HmacAuthentication,
    OAuth2ClientCredentials,
)
from tests.support.dispatch_factories import NOW, claimed, subscription

NAME = "accounts/100/credentials/main"
BODY = b'{"event":"orders/shipped_v2"}'


def headers_of(**method: Any) -> dict[bytes, bytes]:
    """
    Return the headers of a credential for the body.
    """
    compiled = compile_credential(Credential(name=NAME, **method), UrlRules())
    return dict(fixed_headers(compiled, BODY))


def test_basic_is_that_of_the_rfc() -> None:
    """
    The example of RFC 7617, section 2.
    """
    found = headers_of(basic={"username": "Aladdin", "password": "open sesame"})
    assert found == {b"Authorization": b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}


def test_bearer_and_api_key() -> None:
    """
    A token and a key go as they are.
    """
    assert headers_of(bearer={"token": "abc"}) == {b"Authorization": b"Bearer abc"}
    assert headers_of(api_key={"header": "X-Api-Key", "key": "k"}) == {b"X-Api-Key": b"k"}


@pytest.mark.parametrize("name", ["sha256", "sha512", "sha1"])
def test_hmac_of_the_body(name: str) -> None:
    """
    The exact bytes of the body are signed, written as asked for.
    """
    algorithm = HmacAuthentication.Algorithm.Value(f"ALGORITHM_{name.upper()}")
    wanted = hmac.new(b"key", BODY, getattr(hashlib, name)).digest()
    given = {"header": "X-Hmac", "key": "key", "algorithm": algorithm, "prefix": f"{name}="}
    assert headers_of(hmac=given) == {b"X-Hmac": f"{name}={wanted.hex()}".encode()}
    given |= {"encoding": HmacAuthentication.ENCODING_BASE64, "prefix": ""}
    assert headers_of(hmac=given) == {b"X-Hmac": base64.b64encode(wanted)}


def client(**over: Any) -> ClientCredentials:
    """
    Compile OAuth 2.0 client credentials.
    """
    given: dict[str, Any] = {
        "token_url": "https://login.example.com/token",
        "client_id": "id with space",
        "client_secret": "s:cret",
        "scopes": ["a", "b"],
        "audience": "api",
    }
    method: Any = {"oauth2_client_credentials": given | over}
    message = Credential(name=NAME, revision=7, **method)
    compiled = compile_credential(message, UrlRules())
    assert isinstance(compiled, ClientCredentials)
    return compiled


def test_token_request_names_the_client_in_a_header() -> None:
    """
    RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined.
    """
    compiled = client()
    authorization = dict(compiled.headers)[b"Authorization"]
    assert base64.b64decode(authorization.removeprefix(b"Basic ")) == b"id+with+space:s%3Acret"
    assert parse_qs(compiled.form.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
        "audience": ["api"],
    }
    assert (compiled.id, compiled.owner) == (f"{NAME}@7", "accounts/100")


def test_token_request_names_the_client_in_the_body() -> None:
    """
    Where the server wants it there.
    """
    compiled = client(client_authentication=OAuth2ClientCredentials.CLIENT_AUTHENTICATION_BODY)
    assert b"Authorization" not in dict(compiled.headers)
    form = parse_qs(compiled.form.decode())
    assert (form["client_id"], form["client_secret"]) == (["id with space"], ["s:cret"])


def test_authentication_takes_the_place_of_a_configured_header() -> None:
    """
    A header that both set goes once, and the log shows neither value.
    """
    configured = subscription(headers=(("x-api-key", "old"), ("X-Other", "kept")))
    request = build(
        claimed(),
        configured,
        BODY,
        now=NOW,
        deadline=10,
        keys=configured.keys,
        authentication=((b"X-Api-Key", b"new"),),
    )
    sent = [pair for pair in request.headers if pair[0].lower() in {b"x-api-key", b"x-other"}]
    assert sent == [(b"X-Other", b"kept"), (b"X-Api-Key", b"new")]
    shown = dict(masked_headers(request, configured, ((b"X-Api-Key", b"new"),)))
    assert (shown[b"X-Api-Key"], shown[b"X-Other"]) == (MASK, MASK)


def test_identity_changes_with_its_revision() -> None:
    """
    Connections made with a replaced certificate are not used again.
    """
    message = ClientCertificate(
        name="accounts/100/clientCertificates/main",
        revision=3,
        pem=PemMaterial(certificate_chain="chain", private_key="key"),
    )
    identity = compile_identity(message)
    assert identity.id == "accounts/100/clientCertificates/main@3"
    assert (identity.chain_pem, identity.key_pem) == (b"chain", b"key")
    assert "key" not in repr(identity).replace("key_pem", "")

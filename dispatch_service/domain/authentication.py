"""
Authentication of requests to receivers. No I/O, no clock: a token that must be fetched is passed
in.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from service_runtime.rpc import names
from service_runtime.rules.urls import Url, UrlRules, parse_url
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate
from shipedge.webhooks.config.v1.credential_pb2 import (
    Credential,
    HmacAuthentication,
    OAuth2ClientCredentials,
)

Header = tuple[bytes, bytes]

_ALGORITHMS = {
    HmacAuthentication.ALGORITHM_UNSPECIFIED: "sha256",
    HmacAuthentication.ALGORITHM_SHA256: "sha256",
    HmacAuthentication.ALGORITHM_SHA512: "sha512",
    HmacAuthentication.ALGORITHM_SHA1: "sha1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """
    A client certificate with its chain, and its unencrypted key, as PEM.

    `id` changes with the certificate: connections and TLS contexts are cached under it.
    """

    id: str
    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FixedHeader:
    """
    The same header on every request: basic, bearer or API key authentication.
    """

    name: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BodyHmac:
    """
    An HMAC of the body in a header.
    """

    name: str
    key: bytes = field(repr=False)
    algorithm: str
    base64: bool
    prefix: bytes


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """
    OAuth 2.0 client credentials: how to request a token. *id* changes with each change.
    """

    id: str
    owner: str
    token_url: Url
    headers: tuple[Header, ...] = field(repr=False)
    form: bytes = field(repr=False)


CompiledCredential = FixedHeader | BodyHmac | ClientCredentials


def compile_credential(message: Credential, rules: UrlRules) -> CompiledCredential:
    """
    Compile a credential of the feed. Raises `ValueError` for one that cannot be used.
    """
    match message.WhichOneof("method"):
        case "basic":
            pair = f"{message.basic.username}:{message.basic.password}".encode()
            return FixedHeader("Authorization", b"Basic " + base64.b64encode(pair))
        case "bearer":
            return FixedHeader("Authorization", f"Bearer {message.bearer.token}".encode())
        case "api_key":
            return FixedHeader(message.api_key.header, message.api_key.key.encode())
        case "hmac":
            return _body_hmac(message.hmac)
        case "oauth2_client_credentials":
            return _client_credentials(message, rules)
    raise ValueError("the credential has no method that is known here")


def compile_identity(message: ClientCertificate) -> ClientIdentity:
    """
    Compile a client certificate of the feed.
    """
    return ClientIdentity(
        id=f"{message.name}@{message.revision}",
        chain_pem=message.pem.certificate_chain.encode(),
        key_pem=message.pem.private_key.encode(),
    )


def fixed_headers(credential: CompiledCredential, body: bytes) -> tuple[Header, ...]:
    """
    Return the headers of a method that needs no token. Raises `ValueError` for another.
    """
    match credential:
        case FixedHeader():
            return ((credential.name.encode(), credential.value),)
        case BodyHmac():
            digest = hmac.digest(credential.key, body, credential.algorithm)
            shown = base64.b64encode(digest) if credential.base64 else digest.hex().encode()
            return ((credential.name.encode(), credential.prefix + shown),)
        case ClientCredentials():
            raise ValueError("a token has to be fetched first")


def bearer(token: str) -> tuple[Header, ...]:
    """
    Return the header with a fetched token.
    """
    return ((b"Authorization", f"Bearer {token}".encode()),)


def _body_hmac(given: HmacAuthentication) -> BodyHmac:
    return BodyHmac(
        given.header,
        given.key.encode(),
        _ALGORITHMS[given.algorithm],
        given.encoding == HmacAuthentication.ENCODING_BASE64,
        given.prefix.encode(),
    )


def _client_credentials(message: Credential, rules: UrlRules) -> ClientCredentials:
    """
    Compile the token request of RFC 6749, sections 2.3.1 and 4.4.2.
    """
    given = message.oauth2_client_credentials
    form: dict[str, Any] = {"grant_type": "client_credentials"}
    if given.scopes:
        form["scope"] = " ".join(given.scopes)
    if given.audience:
        form["audience"] = given.audience
    headers: tuple[Header, ...] = (
        (b"Content-Type", b"application/x-www-form-urlencoded"),
        (b"Accept", b"application/json"),
        (b"User-Agent", b"ShipEdge-Webhooks/1.0"),
        (b"Accept-Encoding", b"identity"),
    )
    if given.client_authentication == OAuth2ClientCredentials.CLIENT_AUTHENTICATION_BODY:
        form |= {"client_id": given.client_id, "client_secret": given.client_secret}
    else:
        pair = f"{quote_plus(given.client_id)}:{quote_plus(given.client_secret)}".encode()
        headers += ((b"Authorization", b"Basic " + base64.b64encode(pair)),)
    return ClientCredentials(
        f"{message.name}@{message.revision}",
        names.owner_of(message.name),
        parse_url(given.token_url, rules),
        headers,
        urlencode(form).encode(),
    )

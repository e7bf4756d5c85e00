"""
Certificates of receivers and client certificates.
"""

import hashlib
import ssl

import pytest
import trustme

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.egress.tls.contexts import build_context
from service_runtime.rules.urls import parse_url
from tests.support.receivers import HOST, answering, ca_pem, https_receiver, server_certificate
from tests.support.transports import LOOPBACK, LOOPS, failure, guarded_transport, outbound

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (server_certificate("wrong.example"), "Hostname mismatch"),
        (trustme.CA().issue_cert(HOST), "unable to get local issuer certificate"),
    ],
    ids=["wrong name", "unknown authority"],
)
async def test_bad_certificates(certificate: trustme.LeafCert, words: str) -> None:
    """
    A certificate for another name, or of an unknown authority, is refused with the reason.
    """
    async with (
        https_receiver(answering(), certificate=certificate) as receiver,
        guarded_transport(receiver) as transport,
    ):
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.CERTIFICATE
    assert words in failed.error
    assert receiver.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_old_tls_is_refused() -> None:
    """
    A receiver that offers nothing newer than TLS 1.1 gets no request.
    """
    async with (
        https_receiver(answering(), max_tls=ssl.TLSVersion.TLSv1_1) as receiver,
        guarded_transport(receiver) as transport,
    ):
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.TLS


def identity_of(authority: trustme.CA, name: str) -> ClientIdentity:
    """
    Issue a client certificate.
    """
    leaf = authority.issue_cert(name)
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    fingerprint = hashlib.sha256(chain).hexdigest()
    return ClientIdentity(id=fingerprint, chain_pem=chain, key_pem=leaf.private_key_pem.bytes())


async def test_client_certificates() -> None:
    """
    A receiver gets the client certificate of the request; each has connections of its own.
    """
    authority = trustme.CA()
    identities = [identity_of(authority, name) for name in ("one.example", "two.example")]
    async with (
        https_receiver(answering(), client_authority=authority) as receiver,
        guarded_transport(receiver) as transport,
    ):
        for identity in (*identities, identities[0]):
            request = OutboundRequest(
                owner="accounts/100", url=parse_url(receiver.url, LOOPBACK), identity=identity
            )
            assert (await transport.exchange(request)).status_code == 200

    names = [
        str((received.peer_certificate or {}).get("subjectAltName"))
        for received in receiver.requests
    ]
    assert [received.connection for received in receiver.requests] == [1, 2, 1]
    assert ["one.example" in name for name in names] == [True, False, True]


async def test_missing_client_certificate() -> None:
    """
    Without the client certificate that a receiver requires, the exchange fails in TLS.
    """
    async with (
        https_receiver(answering(), client_authority=trustme.CA()) as receiver,
        guarded_transport(receiver) as transport,
    ):
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.TLS
    assert receiver.requests == []


@pytest.mark.parametrize("key", [b"", b"garbage"])
async def test_unusable_client_certificate(key: bytes) -> None:
    """
    A certificate whose key cannot be read fails the exchange before any connection.
    """
    identity = ClientIdentity(id="bad", chain_pem=ca_pem().encode(), key_pem=key)
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        request = OutboundRequest(
            owner="accounts/100", url=parse_url(receiver.url, LOOPBACK), identity=identity
        )
        failed = await failure(transport, request)

    assert failed.kind is FailureKind.CERTIFICATE
    assert receiver.connections == 0


def test_tls_is_at_least_1_2() -> None:
    """
    TLS before 1.2 is not used, whatever the defaults of the system.
    """
    context = build_context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)

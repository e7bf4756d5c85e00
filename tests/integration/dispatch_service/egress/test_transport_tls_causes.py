"""
Why TLS failed: the same kind and text each time, whichever the version of TLS.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from select import select

import pytest
import trustme
from msgspec.structs import replace

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.tls_causes import TlsCause
from tests.support.receivers import (
    HOST,
    Receiver,
    answering,
    authority,
    https_receiver,
    raw_receiver,
)
from tests.support.tls_servers import SECONDS, server_context, tls_server
from tests.support.transports import LOOPS, failure, guarded_transport, outbound

pytestmark = pytest.mark.anyio

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
TIMES = 20
UNRECOGNIZED_NAME, INTERNAL_ERROR, NO_APPLICATION_PROTOCOL = 112, 80, 120

Prepare = Callable[[ssl.SSLContext], None]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


def demanding(clients: trustme.CA | None = None) -> Prepare:
    """
    Return what makes a server require a client certificate of an authority.
    """

    def prepare(context: ssl.SSLContext) -> None:
        (clients or trustme.CA()).configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED

    return prepare


def alerting(alert: int) -> Prepare:
    """
    Return what makes a server end each handshake with an alert.
    """

    def prepare(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda *_: alert

    return prepare


def certified(certificate: trustme.LeafCert) -> Prepare:
    """
    Return what makes a server show this certificate.
    """
    return certificate.configure_cert


def identity(clients: trustme.CA) -> ClientIdentity:
    """
    Return a client certificate of an authority.
    """
    leaf = clients.issue_cert("client.example")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return ClientIdentity(
        id=hashlib.sha256(chain).hexdigest(),
        chain_pem=chain,
        key_pem=leaf.private_key_pem.bytes(),
    )


async def failed_with(receiver: Receiver, client: ClientIdentity | None = None) -> str:
    """
    Return kind and text of an exchange with a receiver that fails.
    """
    async with guarded_transport(receiver) as transport:
        failed = await failure(transport, replace(outbound(receiver), identity=client))
    return f"{failed.kind}: {failed.error}"


PAST, FUTURE = datetime(2001, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CASES: dict[str, tuple[TlsCause, Prepare]] = {
    "missing certificate": (TlsCause.CLIENT_CERTIFICATE_REQUIRED, demanding()),
    "unknown name": (TlsCause.UNRECOGNIZED_NAME, alerting(UNRECOGNIZED_NAME)),
    "fault of the server": (TlsCause.SERVER_ERROR, alerting(INTERNAL_ERROR)),
    "no HTTP/1.1": (TlsCause.NO_COMMON_PROTOCOL, alerting(NO_APPLICATION_PROTOCOL)),
    "wrong name": (TlsCause.HOSTNAME, certified(authority().issue_cert("wrong.example"))),
    "unknown authority": (TlsCause.UNKNOWN_AUTHORITY, certified(trustme.CA().issue_cert(HOST))),
    "expired": (
        TlsCause.EXPIRED,
        certified(authority().issue_cert(HOST, not_after=PAST)),
    ),
    "not yet valid": (
        TlsCause.NOT_YET_VALID,
        certified(authority().issue_cert(HOST, not_before=FUTURE, not_after=FUTURE + DAY)),
    ),
}
CERTIFICATE_CAUSES = {
    TlsCause.HOSTNAME,
    TlsCause.UNKNOWN_AUTHORITY,
    TlsCause.EXPIRED,
    TlsCause.NOT_YET_VALID,
}


@pytest.mark.parametrize(("cause", "prepare"), CASES.values(), ids=CASES.keys())
async def test_each_cause_is_named_with_every_version(cause: TlsCause, prepare: Prepare) -> None:
    """
    TLS 1.2 and 1.3 fail at different moments, and for the same reason.
    """
    seen = set()
    for version in VERSIONS:
        context = server_context(version)
        prepare(context)
        with tls_server(context) as receiver:
            seen.add(await failed_with(receiver))

    kind = FailureKind.CERTIFICATE if cause in CERTIFICATE_CAUSES else FailureKind.TLS
    (shown,) = seen
    assert shown.startswith(f"{kind}: {cause.happened()}")
    assert shown.endswith(f"({cause.code})")


async def test_refused_client_certificate() -> None:
    """
    A certificate of an authority that the server does not know is refused, not missing.
    """
    seen = set()
    for version in VERSIONS:
        context = server_context(version)
        demanding()(context)
        with tls_server(context) as receiver:
            seen.add(await failed_with(receiver, identity(trustme.CA())))

    cause = TlsCause.CLIENT_CERTIFICATE_REFUSED
    assert seen == {f"tls: {cause.text()}"}


@asynccontextmanager
async def silent_server(version: ssl.TLSVersion) -> AsyncIterator[Receiver]:
    """
    Run a server that closes without an alert when it misses the certificate, as asyncio does.
    """
    async with https_receiver(
        answering(), client_authority=trustme.CA(), max_tls=version
    ) as receiver:
        yield receiver


@asynccontextmanager
async def telling_server(version: ssl.TLSVersion) -> AsyncIterator[Receiver]:
    """
    Run a server that says in an alert that it misses the certificate.
    """
    context = server_context(version)
    demanding()(context)
    with tls_server(context) as receiver:
        yield receiver


@pytest.mark.parametrize("server", [silent_server, telling_server])
async def test_missing_client_certificate_is_one_kind_and_one_text(
    server: Callable[[ssl.TLSVersion], AsyncIterator[Receiver]],
) -> None:
    """
    A certificate that is demanded and missing has the same kind and text each time.
    """
    seen: Counter[str] = Counter()
    for version in VERSIONS:
        async with server(version) as receiver:  # type: ignore[attr-defined]
            for _ in range(TIMES):
                seen[await failed_with(receiver)] += 1

    cause = TlsCause.CLIENT_CERTIFICATE_REQUIRED
    assert seen == {f"tls: {cause.text()}": 2 * TIMES}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_versions_and_ciphers() -> None:
    """
    A server that is too old is told from one with other ciphers.
    """
    old, other = server_context(ssl.TLSVersion.TLSv1_1), server_context(ssl.TLSVersion.TLSv1_2)
    old.minimum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    other.set_ciphers("AES128-SHA256")
    with tls_server(old) as receiver:
        assert (await failed_with(receiver)).endswith("(protocol_version)")
    with tls_server(other) as receiver:
        assert (await failed_with(receiver)).endswith("(no_common_cipher)")


SPOKEN = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTML": b"<html><body>The plain HTTP request was sent to HTTPS port</body></html>",
}


@pytest.mark.parametrize("spoken", SPOKEN.values(), ids=SPOKEN.keys())
async def test_ports_without_tls(spoken: bytes) -> None:
    """
    A port that speaks something else is named as such.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(spoken)
        await asyncio.Event().wait()

    async with raw_receiver(script) as receiver:
        assert (await failed_with(receiver)).endswith("(not_tls)")


async def test_closed_without_a_word() -> None:
    """
    A server that closes in the handshake, and asked for nothing, gives no cause.
    """

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async with raw_receiver(script) as receiver:
        assert (await failed_with(receiver)).endswith("(closed)")


async def test_closed_behind_a_certificate() -> None:
    """
    A server that asked for a certificate, got one and closes may not have accepted it.
    """
    clients = trustme.CA()
    context = server_context(ssl.TLSVersion.TLSv1_3)
    demanding(clients)(context)

    def asked(_: ssl.SSLSocket, __: int) -> None:
        raise OSError("closed without an answer")

    with tls_server(context, asked) as receiver:
        found = await failed_with(receiver, identity(clients))

    assert found == f"protocol: {Cause.CLOSED_BEHIND_CERTIFICATE.text()}"


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ENOTCONN])
async def test_reset_as_soon_as_accepted(number: int) -> None:
    """
    Whether the reset comes before the handshake or in it makes no difference.
    """

    async def connect(_: str, __: int) -> socket.socket:
        raise OSError(number, "ended")

    seen = []
    async with guarded_transport(connect=connect) as transport:
        for scheme in ("https", "http"):
            failed = await failure(transport, outbound(f"{scheme}://{HOST}:9/hook"))
            seen.append(f"{failed.kind}: {failed.error}")

    assert seen == [f"tls: {TlsCause.CLOSED.text()}", f"protocol: {Cause.CLOSED_UNANSWERED.text()}"]


async def test_certificate_that_is_optional() -> None:
    """
    With TLS 1.2 a server that closes behind the handshake was content without a certificate.
    """
    context = server_context(ssl.TLSVersion.TLSv1_2)
    demanding()(context)
    context.verify_mode = ssl.CERT_OPTIONAL

    def asked(_: ssl.SSLSocket, __: int) -> None:
        raise OSError("closed without an answer")

    with tls_server(context, asked) as receiver:
        assert (await failed_with(receiver)).startswith("protocol: ")


def closing(tls: ssl.SSLSocket, _: int) -> None:
    """
    Close the connection, as a server does that fails.
    """
    raise OSError("closed without an answer")


def resetting(tls: ssl.SSLSocket, _: int) -> None:
    """
    Reset the connection.
    """
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise OSError("reset without an answer")


@pytest.mark.parametrize("end", [closing, resetting])
@pytest.mark.parametrize("has_certificate", [False, True])
async def test_certificate_that_is_optional_with_tls_1_3(
    end: Callable[[ssl.SSLSocket, int], None], has_certificate: bool
) -> None:
    """
    A server that went on behind the handshake, and then closes, may have done so for any reason:
    the text says perhaps, each time the same.
    """
    clients = trustme.CA()
    context = server_context(ssl.TLSVersion.TLSv1_3)
    demanding(clients)(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    seen: Counter[str] = Counter()
    with tls_server(context, end) as receiver:
        for _ in range(TIMES):
            seen[await failed_with(receiver, identity(clients) if has_certificate else None)] += 1

    without, behind = Cause.CLOSED_WITHOUT_CERTIFICATE, Cause.CLOSED_BEHIND_CERTIFICATE
    assert seen == {f"protocol: {(behind if has_certificate else without).text()}": TIMES}


async def exchanged_twice(receiver: Receiver, client: ClientIdentity | None) -> list[str]:
    """
    Return what came of two requests, one after the other.
    """
    found = []
    async with guarded_transport(receiver) as transport:
        request: OutboundRequest = replace(outbound(receiver), identity=client)
        for _ in range(2):
            try:
                found.append(str((await transport.exchange(request)).status_code))
            except ExchangeFailedError as failed:
                found.append(f"{failed.kind}: {failed.error}")
    return found


@pytest.mark.parametrize("has_certificate", [False, True])
async def test_certificate_for_a_path_on_a_kept_connection(has_certificate: bool) -> None:
    """
    A server with TLS 1.3 may ask for the certificate when it knows the path of a later request.
    """
    clients = trustme.CA()
    client = identity(clients)
    context = server_context(ssl.TLSVersion.TLSv1_3)
    demanding(clients)(context)
    context.post_handshake_auth = True

    def asked(tls: ssl.SSLSocket, number: int) -> None:
        if number == 2:
            tls.verify_client_post_handshake()
            tls.do_handshake()
            select([tls], [], [], SECONDS)
            tls.setblocking(False)
            with suppress(ssl.SSLWantReadError):
                tls.recv(1)
            tls.settimeout(SECONDS)

    with tls_server(context, asked) as receiver:
        found = await exchanged_twice(receiver, client if has_certificate else None)

    cause = TlsCause.CLIENT_CERTIFICATE_REQUIRED
    assert receiver.connections == 1
    assert found == ["200", "200" if has_certificate else f"tls: {cause.text()}"]

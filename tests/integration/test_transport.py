"""
Exchanges with receivers that mean well.
"""

import asyncio
import gc
import hashlib
import ssl

import httpx
import pytest
import trustme

from dispatch_service.connection import Connection, Key
from dispatch_service.connection_pool import ConnectionPool
from dispatch_service.dialler import Dialler, Lost
from dispatch_service.exchanges import (
    ClientIdentity,
    ExchangeFailedError,
    OutboundRequest,
)
from dispatch_service.outcomes import Exchange, FailureKind
from dispatch_service.resolver import Resolver
from dispatch_service.stopwatch import Stopwatch
from dispatch_service.transport import GuardedTransport
from dispatch_service.trust import build_context
from shipedge.webhooks.rules.urls import parse_url
from tests.integration.receivers import (
    HOST,
    Received,
    answering,
    ca_pem,
    http_receiver,
    https_receiver,
    server_certificate,
)
from tests.integration.transports import (
    LOOPBACK,
    LOOPS,
    contexts,
    guarded_transport,
    outbound,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def failure(transport: GuardedTransport, request: OutboundRequest) -> ExchangeFailedError:
    """
    The failure in which an exchange ends.
    """
    with pytest.raises(ExchangeFailedError) as raised:
        await transport.exchange(request)
    return raised.value


async def test_one_exchange() -> None:
    """
    The receiver gets method, host, length, headers and body; we get its whole answer.
    """
    script = answering(201, b"thanks", ("X-Request-Id: 7", "X-Empty:"))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        answer = await transport.exchange(outbound(receiver))
        received = receiver.requests[0]

    assert (received.method, received.target) == ("POST", "/hook")
    assert received.headers["host"] == f"{HOST}:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.body == b'{"event": "orders/shipped_v2"}'
    assert (answer.status_code, answer.body, answer.body_truncated) == (201, b"thanks", False)
    assert (b"X-Request-Id", b"7") in answer.headers
    assert (b"X-Empty", b"") in answer.headers
    assert answer.remote_address == "127.0.0.1"


async def test_timings() -> None:
    """
    A first exchange tells what each step took; one on a kept-alive connection had only an answer.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        first = (await transport.exchange(outbound(receiver))).timings
        second = (await transport.exchange(outbound(receiver))).timings

    assert None not in (first.dns_us, first.connect_us, first.tls_us)
    assert first.first_byte_us is not None
    assert first.total_us is not None
    assert first.total_us >= first.first_byte_us > 0
    assert (second.dns_us, second.connect_us, second.tls_us) == (None, None, None)
    assert second.first_byte_us


async def test_connections_are_kept_alive() -> None:
    """
    A warm endpoint needs no second connection.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        for _ in range(50):
            await transport.exchange(outbound(receiver))

        assert receiver.connections == 1
        assert transport.pool.idle_count == 1


async def test_owners_share_no_connection() -> None:
    """
    Two owners with the same endpoint have a connection each.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        for owner in ("accounts/100", "accounts/200", "accounts/100"):
            await transport.exchange(outbound(receiver, owner=owner))

    assert [received.connection for received in receiver.requests] == [1, 2, 1]


async def test_names_share_no_connection() -> None:
    """
    A connection to the same address is not used for another name.
    """
    certificate = server_certificate(HOST, "other.acme.example")
    async with (
        https_receiver(answering(), certificate=certificate) as receiver,
        guarded_transport(receiver) as transport,
    ):
        await transport.exchange(outbound(receiver))
        other = receiver.url.replace(HOST, "other.acme.example")
        await transport.exchange(
            OutboundRequest(owner="accounts/100", url=parse_url(other, LOOPBACK))
        )

    assert receiver.connections == 2


@pytest.mark.parametrize("header", ["Connection: close", "Connection: Close"])
async def test_receiver_may_close(header: str) -> None:
    """
    A receiver that announces the end of a connection gets a new one next time.
    """
    script = answering(200, b"ok", (header,))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        for _ in range(2):
            await transport.exchange(outbound(receiver))

    assert receiver.connections == 2


async def test_body_without_length() -> None:
    """
    A body that ends with the connection is complete, and so is a chunked one.
    """

    async def script(received: Received) -> None:
        if len(receiver.requests) == 1:
            await received.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            received.writer.close()
        else:
            chunked = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
            await received.send(b"HTTP/1.1 200 OK\r\n" + chunked)

    async with http_receiver(script) as receiver, guarded_transport() as transport:
        answers = [await transport.exchange(outbound(receiver)) for _ in range(2)]

    assert [(answer.body, answer.body_truncated) for answer in answers] == [(b"abc", False)] * 2


async def test_stale_connection_is_tried_once_more() -> None:
    """
    A kept-alive connection that dies without an answer costs no attempt.
    """

    async def script(received: Received) -> None:
        if received.connection == 1 and len(receiver.requests) == 2:
            received.reset()
        else:
            await received.answer()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        await transport.exchange(outbound(receiver))
        answer = await transport.exchange(outbound(receiver))

    assert answer.status_code == 200
    assert [received.connection for received in receiver.requests] == [1, 1, 2]


async def test_begun_answer_is_not_tried_again() -> None:
    """
    A connection that dies after the first byte of an answer ends the attempt.
    """

    async def script(received: Received) -> None:
        if len(receiver.requests) == 1:
            await received.answer()
        else:
            await received.send(b"HTTP/1.1 2")
            received.writer.close()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        await transport.exchange(outbound(receiver))
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.PROTOCOL
    assert len(receiver.requests) == 2


async def test_new_connection_is_not_tried_again() -> None:
    """
    A new connection that dies without an answer is a failure: it cannot have been stale.
    """

    async def script(received: Received) -> None:
        received.reset()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.PROTOCOL
    assert len(receiver.requests) == 1


async def test_closed_idle_connections_are_forgotten() -> None:
    """
    A receiver that drops idle connections leaves none of them in the pool.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        await transport.exchange(outbound(receiver))
        receiver.drop_connections()
        await until(lambda: transport.pool.open_count == 0)

        assert transport.pool.idle_count == 0
        assert (await transport.exchange(outbound(receiver))).status_code == 200


async def test_idle_connections_expire() -> None:
    """
    A connection that nobody uses is closed after its time, by one timer for all.
    """
    pool = ConnectionPool(idle_seconds=0.1)
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver, pool=pool) as transport,
    ):
        await transport.exchange(outbound(receiver))
        assert pool.idle_count == 1

        await until(lambda: pool.open_count == 0, 0.6)


async def test_old_connections_are_not_kept() -> None:
    """
    A connection past its age is not used again, however busy it is.
    """
    pool = ConnectionPool(max_age_seconds=-1.0)
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver, pool=pool) as transport,
    ):
        for _ in range(2):
            await transport.exchange(outbound(receiver))

    assert receiver.connections == 2


async def test_exchanges_do_not_wait_for_each_other() -> None:
    """
    Requests to one endpoint run beside each other, each on a connection of its own.
    """
    all_here = asyncio.Barrier(8)

    async def script(received: Received) -> None:
        await all_here.wait()
        await received.answer()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        answers = await asyncio.gather(*[transport.exchange(outbound(receiver)) for _ in range(8)])

    assert [answer.status_code for answer in answers] == [200] * 8


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
    A certificate for another name or of an unknown authority is refused, with the reason.
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
    A receiver that demands a client certificate gets the subscription's; each has its connection.
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
    Without the certificate that a receiver demands, the attempt fails in TLS.
    """
    async with (
        https_receiver(answering(), client_authority=trustme.CA()) as receiver,
        guarded_transport(receiver) as transport,
    ):
        failed = await failure(transport, outbound(receiver))

    assert failed.kind in (FailureKind.TLS, FailureKind.PROTOCOL)
    assert receiver.requests == []


@pytest.mark.parametrize("key", [b"", b"garbage"])
async def test_unusable_client_certificate(key: bytes) -> None:
    """
    A certificate whose key cannot be read fails the attempt before anything is dialled.
    """
    identity = ClientIdentity(id="bad", chain_pem=ca_pem().encode(), key_pem=key)
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        request = OutboundRequest(
            owner="accounts/100", url=parse_url(receiver.url, LOOPBACK), identity=identity
        )
        failed = await failure(transport, request)

    assert failed.kind is FailureKind.CERTIFICATE
    assert receiver.connections == 0


async def test_plain_http_only_where_allowed() -> None:
    """
    A URL without TLS is refused by a transport that does not allow it, whoever made the URL.
    """
    async with (
        http_receiver(answering()) as receiver,
        guarded_transport(rules=type(LOOPBACK)(allow=LOOPBACK.allow)) as transport,
    ):
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.INVALID_URL
    assert receiver.connections == 0


async def test_through_httpx() -> None:
    """
    A client of httpx over the transport sends, receives and fails in httpx's types.
    """
    script = answering(200, b'{"access_token": "t"}', ("Content-Type: application/json",))
    async with (
        https_receiver(script) as receiver,
        guarded_transport(receiver) as transport,
        httpx.AsyncClient(transport=transport) as client,
    ):
        response = await client.post(receiver.url, data={"grant_type": "client_credentials"})
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.post("https://u:p@hooks.acme.example/")

    assert response.json() == {"access_token": "t"}
    assert receiver.requests[0].body == b"grant_type=client_credentials"
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


async def test_cancelled_exchange_leaves_nothing() -> None:
    """
    Cancelling whoever waits closes the connection, at whatever step it was.
    """
    here = asyncio.Event()

    async def script(received: Received) -> None:
        del received
        here.set()
        await asyncio.Event().wait()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        task = asyncio.create_task(transport.exchange(outbound(receiver)))
        await here.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for steps in range(40):
            task = asyncio.create_task(transport.exchange(outbound(receiver)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class LateCancel:
    """
    A dialler during whose last step the caller is cancelled.
    """

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self.caller: asyncio.Task[Exchange] | None = None
        self.opened: Connection | None = None

    async def open(
        self, request: OutboundRequest, key: Key, stopwatch: Stopwatch, lost: Lost
    ) -> Connection:
        """
        Open a connection that nobody will take.
        """
        self.opened = await self._dialler.open(request, key, stopwatch, lost)
        assert self.caller is not None
        asyncio.get_running_loop().call_soon(self.caller.cancel)
        return self.opened

    def close(self) -> None:
        """
        Close the dialler.
        """
        self._dialler.close()


async def test_connection_opened_too_late_is_closed() -> None:
    """
    A connection that is ready just as its caller is cancelled is not left open.
    """
    async with https_receiver(answering()) as receiver:
        resolver = Resolver(lambda _: ("127.0.0.1",))
        opener = LateCancel(Dialler(resolver, contexts(receiver.ca_pem), LOOPBACK.allow))
        transport = GuardedTransport(opener, rules=LOOPBACK)
        opener.caller = asyncio.create_task(transport.exchange(outbound(receiver)))
        with pytest.raises(asyncio.CancelledError):
            await opener.caller
        await until(lambda: opener.opened is not None and opener.opened.closed)
        await transport.aclose()

    assert receiver.requests == []


def test_tls_is_at_least_1_2() -> None:
    """
    Nothing older than TLS 1.2 is spoken, whatever the system's defaults are.
    """
    context = build_context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


async def test_closing_ends_what_is_under_way() -> None:
    """
    Closing the transport fails the exchanges under way instead of leaving them to hang.
    """
    here = asyncio.Event()

    async def script(received: Received) -> None:
        del received
        here.set()
        await asyncio.Event().wait()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        waiting = asyncio.create_task(failure(transport, outbound(receiver)))
        await here.wait()
        opening = asyncio.create_task(failure(transport, outbound(receiver)))
        await asyncio.sleep(0)
        await transport.aclose()

        assert (await waiting).kind is FailureKind.PROTOCOL
        assert (await opening).kind is FailureKind.INTERRUPTED
        assert (await failure(transport, outbound(receiver))).kind is FailureKind.INTERRUPTED


async def test_closed_connections_are_freed_at_once() -> None:
    """
    A connection that has closed is freed without waiting for the garbage collector.
    """
    script = answering(200, b"ok", ("Connection: close",))
    async with http_receiver(script) as receiver, guarded_transport() as transport:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await transport.exchange(outbound(receiver))
            await until(lambda: transport.pool.open_count == 0)
            left = [one for one in gc.get_objects() if isinstance(one, Connection)]
        finally:
            gc.enable()

    assert left == []

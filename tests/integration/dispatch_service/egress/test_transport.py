"""
Exchanges with correct receivers.
"""

import asyncio

import pytest
from msgspec.structs import replace

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import OutboundRequest
from service_runtime.rules.urls import parse_url
from tests.support.receivers import (
    HOST,
    Received,
    answering,
    http_receiver,
    https_receiver,
    server_certificate,
)
from tests.support.transports import LOOPBACK, LOOPS, failure, guarded_transport, outbound, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def test_one_exchange() -> None:
    """
    The receiver gets method, host, length, headers and body; the caller gets the whole response.
    """
    script = answering(201, b"thanks", ("X-Request-Id: 7", "X-Empty:"))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        response = await transport.exchange(outbound(receiver))
        received = receiver.requests[0]

    assert (received.method, received.target) == ("POST", "/hook")
    assert received.headers["host"] == f"{HOST}:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.body == b'{"event": "orders/shipped_v2"}'
    assert (response.status_code, response.body) == (201, b"thanks")
    assert not response.body_truncated
    assert (b"X-Request-Id", b"7") in response.headers
    assert (b"X-Empty", b"") in response.headers
    assert response.remote_address == "127.0.0.1"


async def test_timings() -> None:
    """
    A first exchange has the time of each step; one on a kept-alive connection has two times.
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
    Requests one after the other to an endpoint share one connection.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        for _ in range(50):
            await transport.exchange(outbound(receiver))

        assert receiver.connections == 1
        assert transport.pool.idle_count == 1


async def test_owners_share_no_connection() -> None:
    """
    Two owners with the same endpoint have their own connections.
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
    A body that ends with the connection is complete, and so is a chunked body.
    """

    async def script(received: Received) -> None:
        if len(receiver.requests) == 1:
            await received.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            received.writer.close()
        else:
            chunked = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
            await received.send(b"HTTP/1.1 200 OK\r\n" + chunked)

    async with http_receiver(script) as receiver, guarded_transport() as transport:
        responses = [await transport.exchange(outbound(receiver)) for _ in range(2)]

    assert [(it.body, it.body_truncated) for it in responses] == [(b"abc", False)] * 2


@pytest.mark.parametrize("ends", ["reset", "close"])
async def test_request_under_which_a_kept_connection_is_lost_is_not_sent_again(ends: str) -> None:
    """
    Whether the receiver has got it is not known: whoever repeats it has to log that.
    """

    async def script(received: Received) -> None:
        if len(receiver.requests) != 2:
            await received.answer()
        elif ends == "reset":
            received.reset()
        else:
            received.writer.close()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        await transport.exchange(outbound(receiver))
        failed = await failure(transport, outbound(receiver))
        response = await transport.exchange(replace(outbound(receiver), fresh=True))

    assert failed.kind is FailureKind.CONNECTION_LOST
    assert response.status_code == 200
    assert [received.connection for received in receiver.requests] == [1, 1, 2]


async def test_request_goes_out_elsewhere_if_its_connection_was_closed_before() -> None:
    """
    A connection that the receiver closes while it is idle fails no request.
    """
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver) as transport,
    ):
        await transport.exchange(outbound(receiver))
        receiver.drop_connections()
        await until(lambda: transport.pool.idle_count == 0)
        response = await transport.exchange(outbound(receiver))

    assert response.status_code == 200
    assert [received.connection for received in receiver.requests] == [1, 2]


async def test_fresh_requests_use_no_kept_connection() -> None:
    """
    A fresh request opens a connection, which others may use later.
    """
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver) as transport,
    ):
        for fresh in (False, True, False):
            await transport.exchange(replace(outbound(receiver), fresh=fresh))

    assert [received.connection for received in receiver.requests] == [1, 2, 2]


async def test_request_with_a_partial_response_is_not_sent_again() -> None:
    """
    A connection that ends after the first byte of a response fails the attempt.
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


async def test_request_on_a_new_connection_is_not_sent_again() -> None:
    """
    A new connection that ends without a response fails the attempt: it cannot have been stale.
    """

    async def script(received: Received) -> None:
        received.reset()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.PROTOCOL
    assert len(receiver.requests) == 1


async def test_exchanges_do_not_wait_for_each_other() -> None:
    """
    Concurrent requests to one endpoint each have a connection of their own.
    """
    all_here = asyncio.Barrier(8)

    async def script(received: Received) -> None:
        await all_here.wait()
        await received.answer()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        exchanges = [transport.exchange(outbound(receiver)) for _ in range(8)]
        responses = await asyncio.gather(*exchanges)

    assert [response.status_code for response in responses] == [200] * 8


async def test_plain_http_only_where_allowed() -> None:
    """
    A transport that does not allow plain HTTP refuses such a URL, even if it was accepted before.
    """
    async with (
        http_receiver(answering()) as receiver,
        guarded_transport(rules=type(LOOPBACK)(allow=LOOPBACK.allow)) as transport,
    ):
        failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.INVALID_URL
    assert receiver.connections == 0

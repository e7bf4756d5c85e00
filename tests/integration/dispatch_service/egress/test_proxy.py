"""
Connections through an operator's egress proxy.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.proxy import EgressProxy
from dispatch_service.egress.requests import ExchangeFailedError
from dispatch_service.egress.transport import GuardedTransport
from shipedge.webhooks.failures.causes import Cause
from tests.support.receivers import Receiver, answering, https_receiver, raw_receiver
from tests.support.transports import LOOPBACK, LOOPS, contexts, outbound, until

pytestmark = pytest.mark.anyio

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


def tunnelling(to: Receiver, asked: list[bytes]) -> Raw:
    """
    Return a proxy that tunnels to a receiver, whatever name is requested.
    """

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", to.port)
        writer.write(b"HTTP/1.1 200 Connected\r\nVia: proxy\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))
        finally:
            there_writer.transport.abort()

    return script


async def exchanged(
    proxy: str, receiver: Receiver, *, times: int = 1, deadline_seconds: float = 20.0
) -> Response:
    """
    Return the last response of a receiver behind a proxy.
    """
    opener = EgressProxy(proxy, contexts(receiver.ca_pem))
    transport = GuardedTransport(opener, rules=LOOPBACK)
    try:
        for _ in range(times):
            request = outbound(receiver, deadline_seconds=deadline_seconds)
            response = await transport.exchange(request)
    finally:
        await transport.aclose()
        await until(lambda: transport.pool.open_count == 0)
    return response


async def test_tunnel() -> None:
    """
    The proxy gets the name; certificates and kept-alive connections work as without a proxy.
    """
    asked: list[bytes] = []
    async with (
        https_receiver(answering()) as receiver,
        raw_receiver(tunnelling(receiver, asked)) as proxy,
    ):
        response = await exchanged(f"http://127.0.0.1:{proxy.port}", receiver, times=3)

    target = f"{receiver.host}:{receiver.port}".encode()
    assert asked == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)]
    assert (response.status_code, response.remote_address) == (200, None)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"HTTP/1.1 407 Denied\r\nContent-Length: 0\r\n\r\n", Cause.PROXY_REFUSED),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Cause.PROXY_REFUSED),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", Cause.PROXY_SILENT),
        (b"garbage\r\n\r\n", Cause.PROXY_SILENT),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9999, Cause.PROXY_SILENT),
        (b"", Cause.PROXY_SILENT),
    ],
)
async def test_proxy_that_does_not_tunnel(said: bytes, cause: Cause) -> None:
    """
    A failure at the proxy is of kind proxy, and does not count against the customer.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.write_eof()
        await reader.read()

    async with https_receiver(answering()) as receiver, raw_receiver(script) as proxy:
        with pytest.raises(ExchangeFailedError) as raised:
            await exchanged(f"http://127.0.0.1:{proxy.port}", receiver)

    assert raised.value.kind is FailureKind.PROXY
    assert raised.value.cause is cause
    assert receiver.connections == 0


@pytest.mark.slow
async def test_proxy_that_is_down_or_silent() -> None:
    """
    A proxy that is down is a proxy failure; a proxy that sends nothing ends with the deadline.
    """

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with https_receiver(answering()) as receiver:
        async with raw_receiver(silent) as proxy:
            with pytest.raises(ExchangeFailedError) as silent_proxy:
                await exchanged(f"http://127.0.0.1:{proxy.port}", receiver, deadline_seconds=0.5)
        with pytest.raises(ExchangeFailedError) as down:
            await exchanged(f"http://127.0.0.1:{proxy.port}", receiver)

    assert silent_proxy.value.kind is FailureKind.TIMEOUT
    assert (down.value.kind, down.value.error) == (
        FailureKind.PROXY,
        Cause.PROXY_UNREACHABLE.text(),
    )


@pytest.mark.parametrize("url", ["proxy:3128", "https://proxy:3128", "http://u:p@proxy", "http://"])
def test_proxy_must_be_a_plain_url(url: str) -> None:
    """
    Any URL but `http://host:port` is refused at the start.
    """
    with pytest.raises(ValueError, match="egress proxy"):
        EgressProxy(url, contexts(None))

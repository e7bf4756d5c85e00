"""
Receivers that answer a TLS handshake with something else.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trustme

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import ExchangeFailedError
from tests.support.receivers import HOST, raw_receiver, reset, server_certificate
from tests.support.transports import LOOPS, ended, failed_as

pytestmark = pytest.mark.anyio

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Accept, and neither read nor write.
    """
    del reader, writer
    await asyncio.Event().wait()


async def tls_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Answer the handshake with garbage.
    """
    await reader.read(100)
    writer.write(b"\x16\x03\x03\x00\x04garbage" * 100)
    await reader.read()


async def plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Answer the handshake in plain HTTP.
    """
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read()


async def reset_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Reset after the first bytes of the handshake.
    """
    await reader.read(100)
    reset(writer)


async def close_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Close after the first bytes of the handshake.
    """
    del writer
    await reader.read(100)


async def no_client_certificate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Demand a client certificate and refuse its absence with an alert, as TLS 1.3 does.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_certificate(HOST).configure_cert(context)
    trustme.CA().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        incoming.write(await reader.read(65536))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
        except ssl.SSLError:
            writer.write(outgoing.read())
            await writer.drain()
            await reader.read()
            return


HANDSHAKES = {
    "garbage": (tls_garbage, FailureKind.TLS),
    "plain text": (plain_text, FailureKind.TLS),
    "reset": (reset_in_handshake, FailureKind.TLS),
    "close": (close_in_handshake, FailureKind.TLS),
    "silence": (silent, FailureKind.TIMEOUT),
    "no client certificate": (no_client_certificate, FailureKind.TLS),
}


@pytest.mark.slow
@pytest.mark.parametrize(("script", "kind"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_handshakes(script: Raw, kind: FailureKind) -> None:
    """
    Whatever comes instead of a TLS handshake is a failure before the deadline and half a second.
    """
    async with raw_receiver(script) as receiver:
        result = await ended(receiver, failed_as(kind))

    assert isinstance(result, ExchangeFailedError)
    assert result.kind is kind

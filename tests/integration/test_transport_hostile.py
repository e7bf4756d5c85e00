"""
Receivers that mean harm: each ends within the deadline and half a second, and leaves nothing.
"""

import asyncio
import dataclasses
import gzip
import resource
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from dispatch_service.connection import MAX_HEADERS, MAX_KEPT_BODY
from dispatch_service.exchanges import ExchangeFailedError
from dispatch_service.outcomes import Exchange, FailureKind
from dispatch_service.transport import GuardedTransport
from tests.integration.receivers import (
    HOST,
    Received,
    Receiver,
    http_receiver,
    raw_receiver,
    reset,
    server_certificate,
)
from tests.integration.transports import LOOPS, guarded_transport, outbound, settled, until

pytestmark = pytest.mark.anyio

DEADLINE = 0.3
SLACK = 0.5
OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(30_000_000))

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def ended(receiver: Receiver) -> Exchange | ExchangeFailedError:
    """
    What one exchange came to, after checking that it took no longer than it may.
    """
    async with guarded_transport(receiver) as transport:
        started = time.monotonic()
        came: Exchange | ExchangeFailedError
        try:
            came = await transport.exchange(outbound(receiver, deadline_seconds=DEADLINE))
        except ExchangeFailedError as failure:
            came = failure
        took = time.monotonic() - started
        await settled(transport)
    assert took < DEADLINE + SLACK
    return came


def open_files() -> int:
    """
    The number of files and sockets that this process has open.
    """
    return len(list(Path("/proc/self/fd").iterdir()))


async def gave_up(transport: GuardedTransport, url: str) -> ExchangeFailedError:
    """
    The failure in which a short exchange ends.
    """
    with pytest.raises(ExchangeFailedError) as raised:
        await transport.exchange(outbound(url, deadline_seconds=DEADLINE))
    return raised.value


def after_request(*parts: bytes, repeat: bytes = b"", pause: float = 0.0, then: str = "") -> Raw:
    """
    A receiver that reads the request, sends the parts, and then repeats, resets, closes or waits.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        while repeat:
            writer.write(repeat)
            await writer.drain()
            await asyncio.sleep(pause)
        if then == "reset":
            reset(writer)
        elif then == "half-close":
            writer.write_eof()
            await reader.read()
        elif then != "close":
            await asyncio.Event().wait()

    return script


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Accept and never read nor write.
    """
    del reader, writer
    await asyncio.Event().wait()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Reset as soon as the connection is there.
    """
    del reader
    reset(writer)


FAILURES = {
    "silence": (silent, FailureKind.TIMEOUT),
    "silence after the request": (after_request(), FailureKind.TIMEOUT),
    "header drip": (after_request(OK, repeat=b"X", pause=0.01), FailureKind.TIMEOUT),
    "endless 103": (
        after_request(repeat=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", pause=0.05),
        FailureKind.TIMEOUT,
    ),
    "flood of 100": (after_request(repeat=b"HTTP/1.1 100 Continue\r\n\r\n"), FailureKind.PROTOCOL),
    "flood of 100 at once": (
        after_request(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        FailureKind.PROTOCOL,
    ),
    "endless headers": (after_request(OK, repeat=b"X-Y: z\r\n" * 500), FailureKind.PROTOCOL),
    "endless header": (after_request(OK, b"X: ", repeat=b"y" * 5000), FailureKind.PROTOCOL),
    "endless reason": (after_request(b"HTTP/1.1 200 ", repeat=b"y" * 5000), FailureKind.PROTOCOL),
    "reset on connect": (resetting, FailureKind.PROTOCOL),
    "reset after the request": (after_request(then="reset"), FailureKind.PROTOCOL),
    "reset in the headers": (after_request(OK, b"X: ", then="reset"), FailureKind.PROTOCOL),
    "close after the request": (after_request(then="close"), FailureKind.PROTOCOL),
    "close in the headers": (after_request(OK, b"X: ", then="close"), FailureKind.PROTOCOL),
    "half-close": (after_request(then="half-close"), FailureKind.PROTOCOL),
    "garbage": (after_request(b"\x00\xff\x16\x03\x01 garbage" * 10), FailureKind.PROTOCOL),
    "another protocol": (after_request(b"SSH-2.0-OpenSSH_9.2\r\n"), FailureKind.PROTOCOL),
    "a request": (after_request(b"GET / HTTP/1.1\r\n\r\n"), FailureKind.PROTOCOL),
    "switching protocols": (
        after_request(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nxx"),
        FailureKind.PROTOCOL,
    ),
    "two lengths": (
        after_request(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        FailureKind.PROTOCOL,
    ),
    "length and chunks": (
        after_request(OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        FailureKind.PROTOCOL,
    ),
    "control character": (after_request(OK + b"X: a\x00b\r\n\r\n"), FailureKind.PROTOCOL),
    "folded header": (after_request(OK + b"X: a\r\n b\r\n\r\n"), FailureKind.PROTOCOL),
    "four-digit status": (after_request(b"HTTP/1.1 2000 OK\r\n\r\n"), FailureKind.PROTOCOL),
}


@pytest.mark.parametrize(("script", "kind"), FAILURES.values(), ids=FAILURES.keys())
async def test_no_answer(script: Raw, kind: FailureKind) -> None:
    """
    A receiver that never completes its headers is a failure in time.
    """
    async with raw_receiver(script, scheme="http") as receiver:
        came = await ended(receiver)

    assert isinstance(came, ExchangeFailedError)
    assert came.kind is kind
    assert "127.0.0.1" not in came.error


SHORT = OK + b"Content-Length: 1000\r\n\r\nabc"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

ANSWERS = {
    "body drip": (after_request(SHORT, repeat=b"x", pause=0.02), b"abc"),
    "silence in the body": (after_request(SHORT), b"abc"),
    "short body": (after_request(SHORT, then="close"), b"abc"),
    "half-close in the body": (after_request(SHORT, then="half-close"), b"abc"),
    "endless body": (after_request(OK, b"\r\n", repeat=b"x" * 65536), b"x" * MAX_KEPT_BODY),
    "endless chunks": (
        after_request(CHUNKED, repeat=b"1\r\nx\r\n" * 9999),
        b"x" * MAX_KEPT_BODY,
    ),
    "endless chunk extension": (after_request(CHUNKED, b"1;", repeat=b"x" * 9999), b""),
    "endless trailer": (after_request(CHUNKED, b"0\r\n", repeat=b"X: y\r\n" * 999), b""),
    "huge length": (after_request(OK + b"Content-Length: 99999999999999\r\n\r\nabc"), b"abc"),
    "broken chunk": (after_request(CHUNKED, b"1\r\nabc"), b"a"),
    "gzip bomb": (
        after_request(OK + b"Content-Encoding: gzip\r\n\r\n", BOMB),
        BOMB[:MAX_KEPT_BODY],
    ),
}


@pytest.mark.parametrize(("script", "body"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_status_decides(script: Raw, body: bytes) -> None:
    """
    Once status and headers are there they decide; of the body at most 16 KiB are kept, as sent.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async with raw_receiver(script, scheme="http") as receiver:
        came = await ended(receiver)

    assert isinstance(came, Exchange)
    assert (came.status_code, came.body_truncated) == (200, True)
    assert came.body.startswith(body)
    assert len(came.body) <= MAX_KEPT_BODY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


async def test_reset_in_the_body() -> None:
    """
    A reset after the headers does not take the status back.
    """
    # Not with the others: a reset may overtake bytes that are not read yet, then no status came.
    arrived = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SHORT)
        await arrived.wait()
        reset(writer)

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        task = asyncio.create_task(transport.exchange(outbound(receiver)))
        await asyncio.sleep(0.1)
        arrived.set()
        answer = await task

    assert (answer.status_code, answer.body, answer.body_truncated) == (200, b"abc", True)


async def test_many_small_headers() -> None:
    """
    Thousands of headers in one piece are an answer, of which some are kept.
    """
    script = after_request(OK + b"X: y\r\n" * 9000 + b"Content-Length: 0\r\n\r\n")

    async with raw_receiver(script, scheme="http") as receiver:
        came = await ended(receiver)

    assert isinstance(came, Exchange) or came.kind is FailureKind.PROTOCOL
    assert isinstance(came, ExchangeFailedError) or len(came.headers) <= MAX_HEADERS


async def test_surplus_answer() -> None:
    """
    An answer that nobody asked for is never taken for the answer to the next request.
    """
    script = after_request((OK + b"Content-Length: 1\r\n\r\na") * 2)

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        for _ in range(2):
            answer = await transport.exchange(outbound(receiver))
            assert answer.body == b"a"
            await settled(transport)

    assert receiver.connections == 2


async def test_answer_to_no_request() -> None:
    """
    A receiver that talks while its connection is idle loses it.
    """
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await go.wait()
        writer.write(OK + b"Content-Length: 6\r\n\r\npoison")
        await reader.read()

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        await transport.exchange(outbound(receiver))
        go.set()
        await until(lambda: transport.pool.open_count == 0)

        assert transport.pool.idle_count == 0


async def test_answer_before_the_request_is_written() -> None:
    """
    A receiver that answers without reading the body is heard, and its connection not used again.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        large = dataclasses.replace(outbound(receiver), body=bytes(32 << 20))
        answer = await transport.exchange(large)
        assert transport.pool.idle_count == 0

    assert answer.status_code == 413


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


@pytest.mark.parametrize(("script", "kind"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_handshakes(script: Raw, kind: FailureKind) -> None:
    """
    Whatever happens instead of a TLS handshake is a failure in time.
    """
    async with raw_receiver(script) as receiver:
        came = await ended(receiver)

    assert isinstance(came, ExchangeFailedError)
    assert came.kind is kind


async def test_unanswered_connects() -> None:
    """
    A host that lets connections hang costs the deadline, and no socket is left behind.
    """
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(2)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        url = f"https://{HOST}:{full.getsockname()[1]}/"
        async with guarded_transport() as transport:
            await gave_up(transport, url)
            before = open_files()
            came = await asyncio.gather(*[gave_up(transport, url) for _ in range(50)])
            after = open_files()
        for sock in waiting:
            sock.close()

    assert {failure.error for failure in came} == {"the deadline passed while connecting"}
    assert after == before


async def test_timeouts_leave_a_working_pool() -> None:
    """
    After 4,000 timeouts 200 normal requests all succeed, and no task or connection is left.
    """
    quiet = True

    async def script(received: Received) -> None:
        if not quiet:
            await received.answer()

    async with http_receiver(script) as receiver, guarded_transport() as transport:
        late = outbound(receiver, deadline_seconds=0.05)

        async def time_out(count: int) -> None:
            for _ in range(count):
                with pytest.raises(ExchangeFailedError) as raised:
                    await transport.exchange(late)
                assert raised.value.kind is FailureKind.TIMEOUT

        await asyncio.gather(*[time_out(20) for _ in range(200)])
        await settled(transport)
        assert transport.pool.open_count == 0
        quiet = False
        answers = await asyncio.gather(
            *[transport.exchange(outbound(receiver)) for _ in range(200)]
        )

    assert [answer.status_code for answer in answers] == [200] * 200

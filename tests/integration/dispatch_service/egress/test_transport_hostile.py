"""
Hostile receivers: each exchange ends within the deadline and half a second.
"""

import asyncio
import gzip
import resource
from collections.abc import Awaitable, Callable

import pytest

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.answers.lenient import MAX_HEADERS
from dispatch_service.egress.answers.reader import MAX_KEPT_BODY
from dispatch_service.egress.requests import ExchangeFailedError
from tests.support.receivers import raw_receiver, reset
from tests.support.transports import (
    LOOPS,
    ended,
    failed_as,
    guarded_transport,
    outbound,
    responded,
    responded_with,
    settled,
)

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(30_000_000))
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


def after_request(*parts: bytes, repeat: bytes = b"", pause: float = 0.0, then: str = "") -> Raw:
    """
    Return a receiver that reads the request, sends the parts, then repeats, resets or closes.
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
    Accept, and neither read nor write.
    """
    del reader, writer
    await asyncio.Event().wait()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Reset as soon as the connection is open.
    """
    del reader
    reset(writer)


FAILURES = {
    "silence": (silent, FailureKind.TIMEOUT),
    "silence after the request": (after_request(), FailureKind.TIMEOUT),
    "endless 103": (
        after_request(repeat=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", pause=0.05),
        FailureKind.TIMEOUT,
    ),
    "flood of 100": (after_request(repeat=b"HTTP/1.1 100 Continue\r\n\r\n"), FailureKind.PROTOCOL),
    "flood of 100 at once": (
        after_request(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        FailureKind.PROTOCOL,
    ),
    "endless reason": (after_request(b"HTTP/1.1 200 ", repeat=b"y" * 5000), FailureKind.PROTOCOL),
    "reset on connect": (resetting, FailureKind.PROTOCOL),
    "reset after the request": (after_request(then="reset"), FailureKind.PROTOCOL),
    "close after the request": (after_request(then="close"), FailureKind.PROTOCOL),
    "half-close": (after_request(then="half-close"), FailureKind.PROTOCOL),
    "garbage": (after_request(b"\x00\xff\x16\x03\x01 garbage" * 10), FailureKind.PROTOCOL),
    "another protocol": (after_request(b"SSH-2.0-OpenSSH_9.2\r\n"), FailureKind.PROTOCOL),
    "a request": (after_request(b"GET / HTTP/1.1\r\n\r\n"), FailureKind.PROTOCOL),
    "switching protocols": (
        after_request(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nxx"),
        FailureKind.PROTOCOL,
    ),
    "four-digit status": (after_request(b"HTTP/1.1 2000 OK\r\n\r\n"), FailureKind.PROTOCOL),
}


@pytest.mark.slow
@pytest.mark.parametrize(("script", "kind"), FAILURES.values(), ids=FAILURES.keys())
async def test_no_status_line_is_a_failure(script: Raw, kind: FailureKind) -> None:
    """
    Without a final status line an exchange fails in time.
    """
    async with raw_receiver(script, scheme="http") as receiver:
        result = await ended(receiver, failed_as(kind))

    assert isinstance(result, ExchangeFailedError)
    assert result.kind is kind
    assert "127.0.0.1" not in result.error


SHORT = OK + b"Content-Length: 1000\r\n\r\nabc"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
RESPONSES = {
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
    "header drip": (after_request(OK, repeat=b"X", pause=0.01), b""),
    "endless headers": (after_request(OK, repeat=b"X-Y: z\r\n" * 500), b""),
    "endless header": (after_request(OK, b"X: ", repeat=b"y" * 5000), b""),
    "endless folded header": (after_request(OK, b"X: ", repeat=b"\r\n y" * 5000), b""),
    "close in the headers": (after_request(OK, b"X: ", then="close"), b""),
    "two lengths": (
        after_request(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        b"ab",
    ),
    "length and broken chunks": (
        after_request(OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab"),
        b"a",
    ),
    "control character": (after_request(OK + b"X: a\x00b\r\n\r\n"), b""),
    "folded header": (after_request(OK + b"X: a\r\n b\r\n\r\n"), b""),
    "gzip bomb": (
        after_request(OK + b"Content-Encoding: gzip\r\n\r\n", BOMB),
        BOMB[:MAX_KEPT_BODY],
    ),
}


@pytest.mark.parametrize(("script", "body"), RESPONSES.values(), ids=RESPONSES.keys())
async def test_status_decides(script: Raw, body: bytes) -> None:
    """
    The status line decides once it is there; at most 16 KiB of the body are kept, as sent.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async with raw_receiver(script, scheme="http") as receiver:
        result = await ended(receiver, responded_with(body))

    assert isinstance(result, Response)
    assert (result.status_code, result.body_truncated) == (200, True)
    assert result.body.startswith(body)
    assert len(result.body) <= MAX_KEPT_BODY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


async def test_reset_in_the_body() -> None:
    """
    A reset after the headers leaves the status valid.
    """
    # A test of its own: a reset may overtake bytes that are not read yet, and then no status comes.
    sent, arrived = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SHORT)
        sent.set()
        await arrived.wait()
        reset(writer)

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        task = asyncio.create_task(transport.exchange(outbound(receiver)))
        await sent.wait()
        # The transport shares this event loop: it has read when the loop has gone round.
        await asyncio.sleep(0.1)
        arrived.set()
        response = await task

    assert (response.status_code, response.body, response.body_truncated) == (200, b"abc", True)


async def test_many_small_headers() -> None:
    """
    Thousands of headers at once are a response, of which some headers are kept.
    """
    script = after_request(OK + b"X: y\r\n" * 9000 + b"Content-Length: 0\r\n\r\n")

    async with raw_receiver(script, scheme="http") as receiver:
        refused = failed_as(FailureKind.PROTOCOL)
        result = await ended(receiver, lambda it: responded(it) or refused(it))

    assert isinstance(result, Response) or result.kind is FailureKind.PROTOCOL
    assert isinstance(result, ExchangeFailedError) or len(result.headers) <= MAX_HEADERS


async def test_surplus_response() -> None:
    """
    A second response to one request is never taken as the response to the next request.
    """
    script = after_request((OK + b"Content-Length: 1\r\n\r\na") * 2)

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        for _ in range(2):
            response = await transport.exchange(outbound(receiver))
            assert response.body == b"a"
            await settled(transport)

    assert receiver.connections == 2

"""
Receivers that exhaust connections: no connection is left open, and no responses are confused.
"""

import asyncio
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import ExchangeFailedError
from dispatch_service.egress.transport import GuardedTransport
from shipedge.webhooks.failures.causes import Cause
from tests.support.receivers import HOST, Received, http_receiver, raw_receiver
from tests.support.transports import LOOPS, guarded_transport, outbound, settled, until

pytestmark = pytest.mark.anyio

DEADLINE = 0.3
CONNECTING = Cause.TIMEOUT_CONNECT.text(seconds=DEADLINE)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


def open_files() -> int:
    """
    Return the number of open files and sockets of this process.
    """
    return len(list(Path("/proc/self/fd").iterdir()))


async def gave_up(transport: GuardedTransport, url: str) -> ExchangeFailedError:
    """
    Return the error of an exchange with a short deadline.
    """
    with pytest.raises(ExchangeFailedError) as raised:
        await transport.exchange(outbound(url, deadline_seconds=DEADLINE))
    return raised.value


async def fifty_errors(transport: GuardedTransport, url: str) -> set[str]:
    """
    Return the different errors of fifty concurrent exchanges.
    """
    failures = await asyncio.gather(*[gave_up(transport, url) for _ in range(50)])
    return {failure.error for failure in failures}


async def test_response_without_a_request() -> None:
    """
    A receiver that sends on an idle connection loses it.
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


async def test_response_before_the_request_is_written() -> None:
    """
    A response counts though the receiver has not read the body; its connection is not used again.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        large = replace(outbound(receiver), body=bytes(32 << 20))
        response = await transport.exchange(large)
        assert transport.pool.idle_count == 0

    assert response.status_code == 413


@pytest.mark.slow
async def test_unanswered_connects() -> None:
    """
    A host that does not accept connections fails at the deadline, and no socket is left open.
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
            errors = await fifty_errors(transport, url)
            if errors != {CONNECTING}:
                # After a pause of the machine nothing was connecting yet; a fault comes again.
                errors = await fifty_errors(transport, url)
            after = open_files()
        for sock in waiting:
            sock.close()

    assert errors == {CONNECTING}
    assert after == before


@pytest.mark.slow
async def test_timeouts_leave_a_working_pool() -> None:
    """
    After 4,000 timeouts no connection is left open, and 200 normal requests succeed.
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
        responses = await asyncio.gather(
            *[transport.exchange(outbound(receiver)) for _ in range(200)]
        )

    assert [response.status_code for response in responses] == [200] * 200

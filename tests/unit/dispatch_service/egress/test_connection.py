"""
Responses of receivers, byte by byte.
"""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.answers.lenient import MAX_HEADERS
from dispatch_service.egress.answers.reader import MAX_KEPT_BODY
from dispatch_service.egress.clocks import ExchangeClock, ExchangeClocks
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.requests import ExchangeFailedError
from tests.support.wires import Wire

# Pieces of valid and broken responses.
_PIECES = st.one_of(
    st.sampled_from(
        b"HTTP/1.1 200 OK\r\n|HTTP/1.1 103 x\r\n|HTTP/1.1 101 x\r\n|HTTP/1.0 204\r\n|"
        b"Content-Length: 3\r\n|Transfer-Encoding: chunked\r\n|Connection: close\r\n|"
        b"\r\n|\r\n\r\n|3\r\n|abc|0\r\n\r\n|X: y\r\n|Upgrade: h2c\r\n".split(b"|")
    ),
    st.binary(max_size=20),
    st.integers(1, 40_000).map(lambda count: b"x" * count),
)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """
    Yield a loop that does not run.
    """
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def opened(loop: asyncio.AbstractEventLoop, wire: Wire) -> Connection:
    """
    Return a connection over a wire.
    """
    connection = Connection(loop, ("a", "b", None), "127.0.0.1", lambda _: None)
    connection.connection_made(wire)
    return connection


def test_response_before_the_request_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    """
    A receiver that sends before the request was written loses the connection and gets no request.
    """
    wire = Wire()
    connection = opened(loop, wire)
    waiter = connection.send(b"POST /")

    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.write(0.0)

    assert isinstance(waiter.exception(), ExchangeFailedError)
    assert (connection.status_code, connection.first_byte_at) == (0, None)
    assert (wire.aborted, wire.written) == (True, b"")


def test_request_of_a_connection_that_was_closed_meanwhile_is_not_written(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """
    Before a request is written the deadline may pass, or the receiver may close.
    """
    wires = [Wire(), Wire(), Wire()]
    expired, lost, well = [opened(loop, wire) for wire in wires]
    waiters = [connection.send(b"POST /") for connection in (expired, lost, well)]

    expired.expire()
    lost.connection_lost(None)
    for connection in (expired, lost, well):
        connection.write(0.0)
        connection.write(0.0)

    assert [wire.written for wire in wires] == [b"", b"", b"POST /"]
    assert all(isinstance(waiter.exception(), ExchangeFailedError) for waiter in waiters[:2])
    assert not waiters[2].done()


def test_request_whose_deadline_has_passed_is_not_written(loop: asyncio.AbstractEventLoop) -> None:
    """
    The process may stand still between the turn that takes a request and the one that writes it.
    """
    wire = Wire()
    connection = opened(loop, wire)
    exchange = connection.exchange(
        b"POST /", ExchangeClock(ExchangeClocks(), 0.0, 10.0), lambda _: None
    )
    exchange.send(None)

    connection.write(10.0)

    with pytest.raises(ExchangeFailedError) as raised:
        exchange.send(None)
    assert raised.value.kind is FailureKind.TIMEOUT
    assert (wire.aborted, wire.written) == (True, b"")


class Broken(Wire):
    """
    A transport that refuses every write.
    """

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """
        Raise.
        """
        raise RuntimeError


def test_failed_write_fails_the_request(loop: asyncio.AbstractEventLoop) -> None:
    """
    The request fails before a byte of it was sent, so it may be sent on another connection.
    """
    wire = Broken()
    connection = opened(loop, wire)
    waiter = connection.send(b"POST /")

    connection.write(0.0)

    assert isinstance(waiter.exception(), ExchangeFailedError)
    assert (wire.aborted, connection.first_byte_at) == (True, None)


@given(st.lists(_PIECES, max_size=20), st.booleans())
def test_any_bytes_end_in_a_response_or_a_failure(pieces: list[bytes], as_one: bool) -> None:
    """
    Whatever bytes come, in whatever parts, the wait ends and the kept response is bounded.
    """
    lost: list[Connection] = []
    wire = Wire()
    loop = asyncio.new_event_loop()
    try:
        connection = Connection(loop, ("a", "b", None), "127.0.0.1", lost.append)
        connection.connection_made(wire)
        waiter = connection.send(b"")
        connection.write(0.0)
        for piece in [b"".join(pieces)] if as_one else pieces:
            if not wire.aborted:
                connection.data_received(piece)
        reusable = connection.reusable
        connection.connection_lost(None)
    finally:
        loop.close()

    assert waiter.done()
    failure = waiter.exception()
    assert failure is None or isinstance(failure, ExchangeFailedError)
    assert (connection.status_code == 0) == (failure is not None)
    assert not (reusable and wire.aborted)
    assert len(connection.body) <= MAX_KEPT_BODY
    assert len(connection.headers) <= MAX_HEADERS
    assert lost == [connection]


@pytest.mark.parametrize("split", range(1, 60))
def test_response_in_two_parts(split: int) -> None:
    """
    It makes no difference where a response is split.
    """
    response = b"HTTP/1.1 202 Accepted\r\nX-A: 1\r\nX-B:\r\nContent-Length: 3\r\n\r\nabc"
    loop = asyncio.new_event_loop()
    try:
        connection = Connection(loop, ("a", "b", None), "127.0.0.1", lambda _: None)
        connection.connection_made(Wire())
        waiter = connection.send(b"")
        connection.write(0.0)
        connection.data_received(response[:split])
        connection.data_received(response[split:])
    finally:
        loop.close()

    assert waiter.done()
    assert (connection.status_code, bytes(connection.body)) == (202, b"abc")
    assert connection.headers == [(b"X-A", b"1"), (b"X-B", b""), (b"Content-Length", b"3")]
    assert connection.reusable

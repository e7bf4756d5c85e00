"""
What a receiver may send, byte by byte.
"""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.egress.connection import MAX_HEADERS, MAX_KEPT_BODY, Connection
from dispatch_service.egress.requests import ExchangeFailedError

# Pieces of which real and broken answers are made.
_PIECES = st.one_of(
    st.sampled_from(
        b"HTTP/1.1 200 OK\r\n|HTTP/1.1 103 x\r\n|HTTP/1.1 101 x\r\n|HTTP/1.0 204\r\n|"
        b"Content-Length: 3\r\n|Transfer-Encoding: chunked\r\n|Connection: close\r\n|"
        b"\r\n|\r\n\r\n|3\r\n|abc|0\r\n\r\n|X: y\r\n|Upgrade: h2c\r\n".split(b"|")
    ),
    st.binary(max_size=20),
    st.integers(1, 40_000).map(lambda count: b"x" * count),
)


class Wire(asyncio.Transport):
    """
    The end of a wire that leads nowhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """
        Take bytes.
        """
        self.written += data

    def abort(self) -> None:
        """
        Note the end.
        """
        self.aborted = True

    def is_closing(self) -> bool:
        """
        Tell whether the end has come.
        """
        return self.aborted

    def get_write_buffer_size(self) -> int:
        """
        Nothing waits.
        """
        return 0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """
    Yield a loop that need not run.
    """
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def opened(loop: asyncio.AbstractEventLoop, wire: Wire) -> Connection:
    """
    Make a connection over a wire.
    """
    connection = Connection(loop, ("a", "b", None), "127.0.0.1", lambda _: None)
    connection.connection_made(wire)
    return connection


def test_answer_before_the_request_was_written_is_none(loop: asyncio.AbstractEventLoop) -> None:
    """
    A receiver that speaks before it was asked is hung up on, and gets no request.
    """
    wire = Wire()
    connection = opened(loop, wire)
    waiter = connection.send(b"POST /")

    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.write()

    assert isinstance(waiter.exception(), ExchangeFailedError)
    assert (connection.status_code, connection.first_byte_at) == (0, None)
    assert (wire.aborted, wire.written) == (True, b"")


def test_request_of_a_connection_that_was_closed_meanwhile_is_not_written(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """
    Between taking a request and writing it the deadline may pass, or the receiver hang up.
    """
    wires = [Wire(), Wire(), Wire()]
    cut, lost, well = [opened(loop, wire) for wire in wires]
    waiters = [it.send(b"POST /") for it in (cut, lost, well)]

    cut.cut_off()
    lost.connection_lost(None)
    for connection in (cut, lost, well):
        connection.write()
        connection.write()

    assert [wire.written for wire in wires] == [b"", b"", b"POST /"]
    assert all(isinstance(it.exception(), ExchangeFailedError) for it in waiters[:2])
    assert not waiters[2].done()


class Broken(Wire):
    """
    A wire that takes nothing.
    """

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """
        Refuse.
        """
        raise RuntimeError


def test_wire_that_takes_nothing_concerns_one_request(loop: asyncio.AbstractEventLoop) -> None:
    """
    The request fails before a byte of it has gone, so that it may go another way.
    """
    wire = Broken()
    connection = opened(loop, wire)
    waiter = connection.send(b"POST /")

    connection.write()

    assert isinstance(waiter.exception(), ExchangeFailedError)
    assert (wire.aborted, connection.first_byte_at) == (True, None)


@given(st.lists(_PIECES, max_size=20), st.booleans())
def test_any_bytes_end_in_an_answer_or_a_failure(pieces: list[bytes], as_one: bool) -> None:
    """
    Whatever bytes come, in whatever portions, the wait ends and what is kept is bounded.
    """
    lost: list[Connection] = []
    wire = Wire()
    loop = asyncio.new_event_loop()
    try:
        connection = Connection(loop, ("a", "b", None), "127.0.0.1", lost.append)
        connection.connection_made(wire)
        waiter = connection.send(b"")
        connection.write()
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
def test_answer_in_two_portions(split: int) -> None:
    """
    Where an answer is cut into portions makes no difference.
    """
    answer = b"HTTP/1.1 202 Accepted\r\nX-A: 1\r\nX-B:\r\nContent-Length: 3\r\n\r\nabc"
    loop = asyncio.new_event_loop()
    try:
        connection = Connection(loop, ("a", "b", None), "127.0.0.1", lambda _: None)
        connection.connection_made(Wire())
        waiter = connection.send(b"")
        connection.write()
        connection.data_received(answer[:split])
        connection.data_received(answer[split:])
    finally:
        loop.close()

    assert waiter.done()
    assert (connection.status_code, bytes(connection.body)) == (202, b"abc")
    assert connection.headers == [(b"X-A", b"1"), (b"X-B", b""), (b"Content-Length", b"3")]
    assert connection.reusable

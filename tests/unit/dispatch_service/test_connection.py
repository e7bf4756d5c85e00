"""
What a receiver may send, byte by byte.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.connection import MAX_HEADERS, MAX_KEPT_BODY, Connection
from dispatch_service.exchanges import ExchangeFailedError

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

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """
        Take bytes.
        """

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
        connection.data_received(answer[:split])
        connection.data_received(answer[split:])
    finally:
        loop.close()

    assert waiter.done()
    assert (connection.status_code, bytes(connection.body)) == (202, b"abc")
    assert connection.headers == [(b"X-A", b"1"), (b"X-B", b""), (b"Content-Length", b"3")]
    assert connection.reusable

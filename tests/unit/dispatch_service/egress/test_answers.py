"""
Answers of receivers as the reader takes them, whole and in parts.
"""

import asyncio

import pytest

from dispatch_service.egress.answers import reader as reader_module
from dispatch_service.egress.answers.lenient import (
    MAX_FIRST_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    NO_HEADER,
    LenientHead,
    sound_head,
)
from dispatch_service.egress.answers.reader import AnswerReader
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.requests import ExchangeFailedError
from tests.support.answers.corpus import CASES, NO_ANSWER, SLOPPY, SOUND, Case
from tests.support.wires import Wire

OK = b"HTTP/1.1 200 OK\r\n"


def received(case: Case, size: int) -> tuple[Connection, BaseException | None]:
    """
    Feed a case to a connection in parts of *size* bytes, up to its close; return the failure.
    """
    loop = asyncio.new_event_loop()
    wire = Wire()
    try:
        connection = Connection(loop, ("a", "b", None), "127.0.0.1", lambda _: None)
        connection.connection_made(wire)
        waiter = connection.send(b"")
        connection.write(0.0)
        for start in range(0, len(case.raw), size):
            if not wire.aborted and not waiter.done():
                connection.data_received(case.raw[start : start + size])
        if case.held_open and not waiter.done():
            connection.expire()
        elif not case.held_open:
            connection.connection_lost(None)
    finally:
        loop.close()
    return connection, waiter.exception()


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_answer_has_its_status_however_it_is_split(case: Case, size: int) -> None:
    """
    A final status line decides; without one there is no answer, and what came is kept.
    """
    connection, failure = received(case, size)

    assert (connection.status_code or None) == case.code
    assert (failure is None) == (case.code is not None)
    if isinstance(failure, ExchangeFailedError):
        assert case.raw.startswith(failure.received)
        assert len(failure.received) <= MAX_FIRST_BYTES
        assert bool(failure.received) == bool(case.raw)


@pytest.mark.parametrize("case", NO_ANSWER, ids=lambda case: case.name)
def test_what_is_no_answer_is_kept_as_it_came(case: Case) -> None:
    """
    The beginning of it shows what spoke there.
    """
    _, failure = received(case, 100_000)

    assert isinstance(failure, ExchangeFailedError)
    assert failure.received == case.raw[:MAX_FIRST_BYTES]


@pytest.mark.parametrize("case", SOUND, ids=lambda case: case.name)
def test_sound_answers_are_read_by_the_fast_parser_alone(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What costs more is for answers that are not sound.
    """
    monkeypatch.delattr(reader_module, "LenientHead")

    connection, _ = received(case, 100_000)

    assert connection.status_code == case.code


@pytest.mark.parametrize("case", SLOPPY, ids=lambda case: case.name)
def test_no_connection_is_used_again_when_the_lenient_parser_had_to_decide(case: Case) -> None:
    """
    Where such an answer ends is a guess.
    """
    reader = AnswerReader()
    reader.begin()
    problem = reader.feed(case.raw)

    is_lenient = not reader.status_code or reader._is_lenient or bool(problem)
    assert not (is_lenient and reader.reusable)


def test_lines_that_are_no_headers_are_shown_as_such() -> None:
    """
    Support sees the script's error among the headers.
    """
    head = LenientHead()

    rest = head.feed(
        OK + b"<b>Warning</b> in x\r\nX: a\r\n  b\r\n\tc\r\nContent-Length : 2\r\n\r\nOK"
    )

    assert rest == b"OK"
    assert head.headers == [
        (NO_HEADER, b"<b>Warning</b> in x"),
        (b"X", b"a b c"),
        (b"Content-Length", b"2"),
    ]


@pytest.mark.parametrize("line", [b" \n", b" y\n", b"X: y\n", b"nothing\n", b" " + b"y" * 900])
def test_what_is_kept_of_endless_headers_is_bounded(line: bytes) -> None:
    """
    Neither many headers nor a header of many lines can grow beyond the limits.
    """
    head = LenientHead()
    head.feed(OK + b"X: y\r\n")
    for _ in range(3):
        head.feed(line * 20_000)

    assert len(head.headers) <= MAX_HEADERS
    assert sum(len(name) + len(value) for name, value in head.headers) <= 2 * MAX_HEAD_BYTES


@pytest.mark.parametrize(
    ("headers", "framing"),
    [
        ([(b"content-length", b"2")], b"Content-Length: 2\r\n"),
        ([(b"Content-Length", b"2, 2"), (b"Content-Length", b"02")], b"Content-Length: 2\r\n"),
        ([(b"Content-Length", b"0")], b"Content-Length: 0\r\n"),
        ([(b"Content-Length", b"2"), (b"Content-Length", b"3")], b""),
        ([(b"Content-Length", b"-2")], b""),
        ([(b"Content-Length", b"")], b"Content-Length: 0\r\n"),
        (
            [(b"Transfer-Encoding", b"identity"), (b"Content-Length", b"2")],
            b"Content-Length: 2\r\n",
        ),
        ([(b"Transfer-Encoding", b"xchunked")], b""),
        (
            [(b"Transfer-Encoding", b"gzip, Chunked"), (b"Content-Length", b"2")],
            b"Transfer-Encoding: chunked\r\n",
        ),
    ],
)
def test_framing(headers: list[tuple[bytes, bytes]], framing: bytes) -> None:
    """
    Chunks go before a length, and a length is one only if all that state it agree.
    """
    assert (
        sound_head(200, headers) == b"HTTP/1.1 200 Status\r\n%bConnection: close\r\n\r\n" % framing
    )


def test_the_rest_behind_a_lenient_head_counts_once() -> None:
    """
    A body that came together with a sloppy head has the same limit as any other.
    """
    body = b"x" * 12_000
    case = Case(
        "", OK + b"X : y\r\nContent-Length: 12000\r\nX: " + b"z" * 30_000 + b"\r\n\r\n" + body
    )

    connection, _ = received(case, 100_000)

    assert (connection.status_code, bytes(connection.body)) == (200, body)
    assert not connection.body_truncated

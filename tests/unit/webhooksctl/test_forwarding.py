"""
Requests to a developer's own machine, and streams that go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from tests.support.receivers import Received, Script, answering, http_receiver
from webhooksctl.forwarding.receiver import Receiver, receiver_url
from webhooksctl.options import streams

HEADERS = {"Content-Type": "application/json", "webhook-id": "dlv_1"}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:3000", "http://localhost:3000"),
        ("http://localhost:3000/hooks?x=1", "http://localhost:3000/hooks?x=1"),
        ("https://[::1]:8443/", "https://[::1]:8443/"),
    ],
)
def test_urls_of_receivers(text: str, url: str) -> None:
    """
    The scheme may be left out.
    """
    assert receiver_url(text).geturl() == url


@pytest.mark.parametrize(
    "text", ["", "ftp://localhost", "http://", "http://localhost:x", "http://a:b@host", "/hooks"]
)
def test_what_is_no_url_is_refused(text: str) -> None:
    """
    The message has an example.
    """
    with pytest.raises(ValueError, match="http://localhost:3000"):
        receiver_url(text)


async def silent(_received: Received) -> None:
    """
    Answer nothing, and keep the connection.
    """


async def garbage(received: Received) -> None:
    """
    Answer what is not HTTP.
    """
    await received.send(b"hello\r\n\r\n")


async def hang_up(received: Received) -> None:
    """
    End the connection without an answer.
    """
    received.reset()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "success", "text"),
    [
        (answering(204, b""), True, "204"),
        (answering(503), False, "503"),
        (answering(302, headers=("Location: /elsewhere",)), False, "302"),
        (silent, False, "no answer within 0.1 s"),
        (garbage, False, "hello"),
        (hang_up, False, "Connection reset"),
    ],
)
async def test_answers_of_receivers(script: Script, success: bool, text: str) -> None:
    """
    Whatever a receiver does becomes an answer in words, and the request is sent once.
    """
    async with http_receiver(script, host="127.0.0.1") as running:
        receiver = Receiver(receiver_url(running.url), 0.1 if script is silent else 20)
        answer = await asyncio.to_thread(receiver.send, HEADERS, b"{}")

    assert answer.is_success is success
    assert text in answer.text
    (request,) = running.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook", b"{}")
    assert request.headers["webhook-id"] == "dlv_1"


def test_nobody_listens() -> None:
    """
    That is an answer too.
    """
    answer = Receiver(receiver_url("http://127.0.0.1:9"), 1).send({}, b"")

    assert not answer.is_success
    assert "refused" in answer.text


def lost() -> grpc.RpcError:
    """
    Return the end of a lost connection.
    """
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)


def test_pauses_grow_until_something_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A service that is away for long is asked less and less, and a stream that goes on begins anew.
    """
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    answers = iter([["a"], [], [], [], [], [], [], ["b"], [], ["c"]])
    request = SimpleNamespace(cursor="")
    cursors: list[str] = []

    def method(request: Any) -> Iterator[Any]:
        cursors.append(request.cursor)
        yield from (SimpleNamespace(cursor=it) for it in next(answers))
        raise lost()

    stream = streams.followed(method, request)
    found = [next(stream).cursor for _ in range(3)]

    assert found == ["a", "b", "c"]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 1, 2]
    assert cursors == ["", *["a"] * 7, "b", "b"]


def test_what_never_began_is_not_tried_again() -> None:
    """
    A wrong address would be tried for ever.
    """

    def method(_request: Any) -> Iterator[Any]:
        raise lost()

    with pytest.raises(grpc.RpcError):
        next(streams.followed(method, SimpleNamespace(cursor="")))

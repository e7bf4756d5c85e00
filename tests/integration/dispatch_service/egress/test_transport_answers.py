"""
The corpus of answers, sent by a server on loopback.
"""

import asyncio

import pytest

from dispatch_service.egress import clocks
from dispatch_service.egress.requests import ExchangeFailedError
from dispatch_service.egress.transport import GuardedTransport
from tests.support.answers.corpus import CASES
from tests.support.receivers import raw_receiver
from tests.support.transports import LOOPS, guarded_transport, outbound, settled

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def code(transport: GuardedTransport, url: str) -> int | None:
    """
    Return the status of the answer on a connection of its own; None if there is none.
    """
    try:
        return (await transport.exchange(outbound(url, fresh=True))).status_code
    except ExchangeFailedError:
        return None


async def test_corpus_over_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each answer has the verdict of the table, and each is asked for once.
    """
    monkeypatch.setattr(clocks, "REST_SECONDS", 0.3)
    asked: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
        await reader.readuntil(b"}")
        asked.append(int(target.removeprefix(b"/")))
        case = CASES[asked[-1]]
        writer.write(case.raw)
        await writer.drain()
        if case.held_open:
            await asyncio.Event().wait()

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        base = receiver.url.removesuffix("hook")
        urls = [f"{base}{number}" for number in range(len(CASES))]
        codes = await asyncio.gather(*[code(transport, url) for url in urls])
        await settled(transport)

    verdicts = zip(CASES, codes, strict=True)
    assert [(case.name, case.code, got) for case, got in verdicts if case.code != got] == []
    assert sorted(asked) == list(range(len(CASES)))


async def test_rest_of_an_answer_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A length that is too large does not cost the whole deadline.
    """
    monkeypatch.setattr(clocks, "REST_SECONDS", 0.05)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 9\r\n\r\nOK")
        await asyncio.Event().wait()

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        async with asyncio.timeout(30):
            response = await transport.exchange(outbound(receiver, deadline_seconds=60))

    assert (response.status_code, response.body, response.body_truncated) == (200, b"OK", True)

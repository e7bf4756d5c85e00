"""
The addresses that the guard connects to, recorded by the function that connects.
"""

import asyncio
import socket

import httpx
import pytest

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress import connector
from dispatch_service.egress.connector import connect_tcp
from dispatch_service.egress.httpx_adapter import HttpxAdapter
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import OutboundRequest
from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRules, parse_url
from shipedge.webhooks.failures.causes import Cause
from tests.support.receivers import HOST, Received, answering, http_receiver, https_receiver
from tests.support.transports import (
    LOOPBACK,
    LOOPS,
    RecordingConnector,
    failure,
    guarded_transport,
    outbound,
    settled,
)

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


class Redirector:
    """
    Connect to a receiver on loopback instead of the given address.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.connected: list[str] = []

    async def connect(self, address: str, port: int) -> socket.socket:
        """
        Record the address, and connect to the receiver.
        """
        del port
        self.connected.append(address)
        return await connect_tcp("127.0.0.1", self._port)


async def test_rebinding_between_connections() -> None:
    """
    A name that moves to an internal address is refused at the next connection.

    The kept-alive connection stays in use: it leads to the address that was checked.
    """
    answers = {HOST: (PUBLIC,)}
    allow_peer = UrlRules(allow=AllowList.parse(["127.0.0.1/32:*"]))
    pool = ConnectionPool()
    async with https_receiver(answering()) as receiver:
        redirector = Redirector(receiver.port)
        async with guarded_transport(
            receiver, answers=answers, rules=allow_peer, connect=redirector.connect, pool=pool
        ) as transport:
            await transport.exchange(outbound(receiver))
            answers[HOST] = ("10.9.9.9",)
            await transport.exchange(outbound(receiver))
            receiver.drop_connections()
            await settled(transport)
            failed = await failure(transport, outbound(receiver, owner="accounts/200"))

    assert failed.kind is FailureKind.BLOCKED_ADDRESS
    assert "10.9.9.9" not in failed.error
    assert "10.9.9.9" in failed.detail
    assert redirector.connected == [PUBLIC]
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "answers",
    [
        (PUBLIC, "10.0.0.5"),
        ("10.0.0.5", PUBLIC),
        (PUBLIC,) * 9 + ("::1",),
        (PUBLIC, "fe80::1%eth0"),
    ],
)
async def test_mixed_answers(answers: tuple[str, ...]) -> None:
    """
    One address that is not public refuses the name, wherever it stands among the others.
    """
    recording = RecordingConnector()

    async with guarded_transport(
        answers={"a.com": answers}, rules=UrlRules(), connect=recording.connect
    ) as transport:
        failed = await failure(transport, outbound("https://a.com/"))

    assert failed.kind is FailureKind.BLOCKED_ADDRESS
    assert recording.connected == []


async def test_peer_is_checked_after_connecting() -> None:
    """
    A socket whose peer has another, forbidden address is closed without a request.
    """
    async with https_receiver(answering()) as receiver:
        redirector = Redirector(receiver.port)
        async with guarded_transport(
            receiver, answers={HOST: (PUBLIC,)}, rules=UrlRules(), connect=redirector.connect
        ) as transport:
            failed = await failure(transport, outbound(receiver))

    assert failed.kind is FailureKind.BLOCKED_ADDRESS
    assert redirector.connected == [PUBLIC]
    assert receiver.requests == []


async def test_every_address_is_tried() -> None:
    """
    Up to four addresses are tried in order until one accepts.
    """
    answers = {HOST: ("127.0.0.2", "127.0.0.3", "127.0.0.1")}
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver, answers=answers) as transport,
    ):
        response = await transport.exchange(outbound(receiver))

    assert response.remote_address == "127.0.0.1"


async def test_no_address_accepts() -> None:
    """
    If all addresses hang, the failure is a timeout; if they refuse, a failed connection.
    """

    async def hang(address: str, port: int) -> socket.socket:
        del address, port
        await asyncio.Event().wait()
        raise AssertionError

    answers = {"a.com": (PUBLIC, "8.8.8.8")}
    async with guarded_transport(answers=answers, connect=hang) as transport:
        hung = await failure(transport, outbound("https://a.com/", deadline_seconds=0.2))
    async with guarded_transport(
        answers=answers, connect=RecordingConnector().connect
    ) as transport:
        refused = await failure(transport, outbound("https://a.com/"))

    assert hung.kind is FailureKind.TIMEOUT
    assert (refused.kind, refused.error) == (
        FailureKind.CONNECT,
        Cause.NOT_CONNECTED.text("connection refused"),
    )


async def test_redirects_are_not_followed() -> None:
    """
    A redirect to the metadata service is only a response, and is refused if a client follows it.
    """
    script = answering(307, b"", ("Location: http://169.254.169.254/latest/meta-data/",))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        response = await transport.exchange(outbound(receiver))
        adapter = HttpxAdapter(transport)
        async with httpx.AsyncClient(transport=adapter, follow_redirects=True) as client:
            with pytest.raises(httpx.TransportError):
                await client.post(receiver.url)

    assert response.status_code == 307


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No variable of the environment sends a request to another place.
    """

    async def never(received: Received) -> None:
        await received.answer(500)

    async with (
        http_receiver(never) as proxy,
        https_receiver(answering()) as receiver,
        guarded_transport(receiver) as transport,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        direct = await transport.exchange(outbound(receiver))
        async with httpx.AsyncClient(transport=HttpxAdapter(transport)) as client:
            through_httpx = await client.post(receiver.url)

    assert (direct.status_code, through_httpx.status_code) == (200, 200)
    assert proxy.connections == 0


async def test_allowed_host_may_be_anywhere() -> None:
    """
    A host on the allow-list may have any address, but only on the listed port.
    """
    async with http_receiver(answering(), host="receiver") as receiver:
        rules = UrlRules(
            allow_http=True, allow=AllowList.parse([f"receiver:{receiver.port}", "receiver:1"])
        )
        async with guarded_transport(rules=rules) as transport:
            request = OutboundRequest(owner="a", url=parse_url(receiver.url, rules))
            response = await transport.exchange(request)

    assert response.status_code == 200
    with pytest.raises(ValueError, match="single label"):
        parse_url(f"https://receiver:{receiver.port + 1}/", rules)
    assert LOOPBACK.allow_http


DEAD_6, DEAD_4 = "2606:4700::1", "1.1.1.9"


@pytest.mark.parametrize(
    "addresses",
    [(DEAD_6, "127.0.0.1"), (DEAD_4, "127.0.0.1"), (DEAD_6, "2606:4700::2", "127.0.0.1")],
)
async def test_dead_address_delays_a_receiver_hardly(addresses: tuple[str, ...]) -> None:
    """
    The next address is connected to without waiting for one that does not answer.
    """
    asked: list[str] = []

    async def connect(address: str, port: int) -> socket.socket:
        asked.append(address)
        if address != "127.0.0.1":
            await asyncio.Event().wait()
        return await connect_tcp(address, port)

    async with (
        http_receiver(answering()) as receiver,
        guarded_transport(receiver, answers={HOST: addresses}, connect=connect) as transport,
    ):
        response = await transport.exchange(outbound(receiver, deadline_seconds=60))

    assert response.status_code == 200
    assert response.timings.connect_us is not None
    assert asked == [addresses[0], "127.0.0.1"]


async def test_each_address_is_judged_just_before_it_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    All are judged first, and each once more when its turn comes; one that has become forbidden
    ends the exchange.
    """
    seen: list[str] = []

    def judge(address: str) -> str | None:
        seen.append(f"judge {address}")
        return "forbidden by now" if seen.count("judge 1.0.0.1") == 2 else None

    async def connect(address: str, port: int) -> socket.socket:
        seen.append(f"connect {address}")
        raise ConnectionRefusedError(port)

    monkeypatch.setattr(connector, "why_forbidden", judge)
    async with guarded_transport(
        answers={"a.com": ("1.1.1.1", "1.0.0.1", PUBLIC)}, rules=UrlRules(), connect=connect
    ) as transport:
        failed = await failure(transport, outbound("https://a.com/"))

    assert failed.kind is FailureKind.BLOCKED_ADDRESS
    assert seen == [
        "judge 1.1.1.1",
        "judge 1.0.0.1",
        f"judge {PUBLIC}",
        "judge 1.1.1.1",
        "connect 1.1.1.1",
        "judge 1.0.0.1",
    ]

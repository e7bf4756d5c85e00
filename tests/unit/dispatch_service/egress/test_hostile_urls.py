"""
The addresses that the guard connects to for every hostile URL, without the rules on its text.

The addresses are recorded by the function that connects, behind the guard.
"""

import json
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.httpx_adapter import HttpxAdapter
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from service_runtime.rules.urls import Url, UrlRules
from tests.support.transports import RecordingConnector, guarded_transport

pytestmark = pytest.mark.anyio

_LINES = (Path(__file__).parents[3] / "data" / "hostile_urls.tsv").read_text("utf-8").split("\n")
_ROWS = [line.split("\t") for line in _LINES[1:] if line]

_KINDS = {
    "blocked": FailureKind.BLOCKED_ADDRESS,
    "unresolved": FailureKind.DNS,
    "connected": FailureKind.CONNECT,
}
_PRODUCTION = UrlRules()


def lenient(text: str) -> Url | None:
    """
    Parse a URL as a client does that checks nothing; None if even such a client cannot.
    """
    with suppress(httpx.InvalidURL, UnicodeError):
        url = httpx.URL(text)
        if url.scheme in ("http", "https") and url.host:
            return Url(
                scheme="https",
                host=url.raw_host.decode(),
                port=url.port or 443,
                authority="host",
                target="/",
                endpoint=text,
            )
    return None


def answers_for(host: str, simulated: str) -> tuple[str, ...]:
    """
    Return the addresses in the table; without any, those of the system's resolver for numbers.
    """
    if simulated:
        return tuple(json.loads(simulated))
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(answer[4][0]) for answer in found)


@pytest.mark.parametrize(("group", "text", "simulated", "at_write", "at_connect"), _ROWS)
async def test_guard_connects_to_public_addresses_only(
    group: str, text: str, simulated: str, at_write: str, at_connect: str
) -> None:
    """
    No hostile URL makes the guard connect to an address that is not public.
    """
    del at_write
    url = lenient(json.loads(text))
    if url is None:
        assert at_connect in ("", "unparsable")
        return
    recording = RecordingConnector()
    answers = {url.host: answers_for(url.host, simulated)}

    async with guarded_transport(
        answers=answers, rules=_PRODUCTION, connect=recording.connect
    ) as transport:
        with pytest.raises(ExchangeFailedError) as raised:
            await transport.exchange(OutboundRequest(owner="accounts/100", url=url))

    assert all(ip_address(address).is_global for address, _ in recording.connected)
    assert bool(recording.connected) == (raised.value.kind is FailureKind.CONNECT)
    assert raised.value.kind is _KINDS.get(at_connect, raised.value.kind)
    assert not any(answer in raised.value.error for answer in answers[url.host])
    assert group != "good" or recording.connected


@pytest.mark.parametrize(("group", "text", "simulated", "at_write", "at_connect"), _ROWS)
async def test_guard_holds_for_clients_of_httpx(
    group: str, text: str, simulated: str, at_write: str, at_connect: str
) -> None:
    """
    A client of httpx on the transport gets an httpx error for every hostile URL.
    """
    del at_connect
    recording = RecordingConnector()
    answers = {}
    with suppress(httpx.InvalidURL, UnicodeError):
        host = httpx.URL(json.loads(text)).raw_host.decode()
        answers = {host: answers_for(host, simulated)}

    async with (
        guarded_transport(
            answers=answers, rules=_PRODUCTION, connect=recording.connect
        ) as transport,
        httpx.AsyncClient(transport=HttpxAdapter(transport)) as client,
    ):
        with pytest.raises((httpx.TransportError, httpx.InvalidURL, UnicodeError)):
            await client.post(json.loads(text))

    assert all(ip_address(address).is_global for address, _ in recording.connected)
    assert not recording.connected or at_write == "accepted" or group == "parser confusion"

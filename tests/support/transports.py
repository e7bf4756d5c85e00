"""
Guarded transports for tests: a table for a name server, and loopback allowed where a test says so.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache

import pytest

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.connector import Connect, Connector, connect_tcp
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.resolver import Resolver
from dispatch_service.egress.tls import TlsContexts
from dispatch_service.egress.transport import GuardedTransport
from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRules, parse_url
from tests.support.receivers import HOST, Receiver

LOOPBACK = UrlRules(allow_http=True, allow=AllowList.parse(["127.0.0.0/8:*", f"{HOST}:*"]))
LOOPS = [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})]

SLACK_SECONDS = 0.5
"""
How long after its deadline an exchange has ended.
"""

contexts = cache(TlsContexts)
Came = Response | ExchangeFailedError


class RecordingConnector:
    """
    Notes which addresses would be connected to, and connects nowhere.
    """

    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []

    async def connect(self, address: str, port: int) -> socket.socket:
        """
        Refuse, as a closed port would.
        """
        self.dialled.append((address, port))
        raise ConnectionRefusedError(111, "Connection refused")


@asynccontextmanager
async def guarded_transport(
    receiver: Receiver | None = None,
    *,
    answers: Mapping[str, tuple[str, ...]] | None = None,
    rules: UrlRules = LOOPBACK,
    connect: Connect = connect_tcp,
    pool: ConnectionPool | None = None,
) -> AsyncIterator[GuardedTransport]:
    """
    Open a transport that trusts the receiver's authority; at the end nothing may be left open.

    Without *answers* every name resolves to loopback.
    """

    def lookup(host: str) -> tuple[str, ...]:
        return ("127.0.0.1",) if answers is None else answers.get(host, ())

    connector = Connector(
        Resolver(lookup, ttl=0.0, negative_ttl=0.0),
        contexts(None if receiver is None else receiver.ca_pem),
        rules.allow,
        connect=connect,
    )
    transport = GuardedTransport(connector, pool, rules=rules)
    try:
        yield transport
        await settled(transport)
    finally:
        await transport.aclose()
    await until(lambda: transport.pool.open_count == 0)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """
    Let the event loop run until a condition holds that no event announces.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0)


async def settled(transport: GuardedTransport) -> None:
    """
    Wait until every open connection is an idle one: nothing is under way or being closed.
    """
    await until(lambda: transport.pool.open_count == transport.pool.idle_count)


def outbound(
    url: str | Receiver, *, deadline_seconds: float = 20.0, owner: str = "accounts/100"
) -> OutboundRequest:
    """
    Make a request to a URL or a receiver.
    """
    text = url if isinstance(url, str) else url.url
    return OutboundRequest(
        owner=owner,
        url=parse_url(text, LOOPBACK),
        headers=((b"Content-Type", b"application/json"),),
        body=b'{"event": "orders/shipped_v2"}',
        deadline_seconds=deadline_seconds,
    )


async def failure(transport: GuardedTransport, request: OutboundRequest) -> ExchangeFailedError:
    """
    Return the failure in which an exchange ends.
    """
    with pytest.raises(ExchangeFailedError) as raised:
        await transport.exchange(request)
    return raised.value


async def ended(
    receiver: Receiver, wanted: Callable[[Came], bool], *, deadline_seconds: float = 0.3
) -> Came:
    """
    Return what one exchange came to, after checking that it took no longer than it may.

    One that took too long or did not come to what is *wanted* is tried once more: a machine
    that stood still is no fault of the transport, and a fault comes again.
    """
    came, took = await _timed(receiver, deadline_seconds)
    if took >= deadline_seconds + SLACK_SECONDS or not wanted(came):
        came, took = await _timed(receiver, deadline_seconds)
    assert took < deadline_seconds + SLACK_SECONDS
    return came


async def _timed(receiver: Receiver, deadline_seconds: float) -> tuple[Came, float]:
    async with guarded_transport(receiver) as transport:
        request = outbound(receiver, deadline_seconds=deadline_seconds)
        started = time.monotonic()
        came: Came
        try:
            came = await transport.exchange(request)
        except ExchangeFailedError as refused:
            came = refused
        took = time.monotonic() - started
        await settled(transport)
    return came, took


def failed_as(kind: FailureKind) -> Callable[[Came], bool]:
    """
    Make a test of whether an exchange failed in a way.
    """
    return lambda came: isinstance(came, ExchangeFailedError) and came.kind is kind


def answered(came: Came) -> bool:
    """
    Tell whether an exchange came to an answer.
    """
    return isinstance(came, Response)


def answered_with(body: bytes) -> Callable[[Came], bool]:
    """
    Make a test of whether an exchange came to an answer whose body begins so.
    """
    return lambda came: isinstance(came, Response) and came.body.startswith(body)

"""
Guarded transports for tests: a table instead of a name server, and loopback allowed by default.
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
from dispatch_service.egress.tls.contexts import TlsContexts
from dispatch_service.egress.transport import GuardedTransport
from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRules, parse_url
from tests.support.receivers import HOST, Receiver

LOOPBACK = UrlRules(allow_http=True, allow=AllowList.parse(["127.0.0.0/8:*", f"{HOST}:*"]))
LOOPS = [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})]

SLACK_SECONDS = 0.5
"""
So long after its deadline an exchange must have ended.
"""

contexts = cache(TlsContexts)
Result = Response | ExchangeFailedError


class RecordingConnector:
    """
    Record the addresses that would be connected to, and connect to none.
    """

    def __init__(self) -> None:
        self.connected: list[tuple[str, int]] = []

    async def connect(self, address: str, port: int) -> socket.socket:
        """
        Refuse the connection, as a closed port does.
        """
        self.connected.append((address, port))
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
    Open a transport that trusts the receiver's authority; at the end nothing may be open.

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
    Run the event loop until a condition holds for which there is no event.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0)


async def settled(transport: GuardedTransport) -> None:
    """
    Wait until every open connection is idle: none is in use or being closed.
    """
    await until(lambda: transport.pool.open_count == transport.pool.idle_count)


def outbound(
    url: str | Receiver,
    *,
    deadline_seconds: float = 20.0,
    owner: str = "accounts/100",
    fresh: bool = False,
) -> OutboundRequest:
    """
    Return a request to a URL or a receiver, on a connection of its own if it is *fresh*.
    """
    text = url if isinstance(url, str) else url.url
    return OutboundRequest(
        owner=owner,
        url=parse_url(text, LOOPBACK),
        headers=((b"Content-Type", b"application/json"),),
        body=b'{"event": "orders/shipped_v2"}',
        deadline_seconds=deadline_seconds,
        fresh=fresh,
    )


async def failure(transport: GuardedTransport, request: OutboundRequest) -> ExchangeFailedError:
    """
    Return the error with which an exchange ends.
    """
    with pytest.raises(ExchangeFailedError) as raised:
        await transport.exchange(request)
    return raised.value


async def ended(
    receiver: Receiver, wanted: Callable[[Result], bool], *, deadline_seconds: float = 0.3
) -> Result:
    """
    Return the result of one exchange, after checking that it ended in time.

    An exchange that took too long or has another result than *wanted* is repeated once: a pause
    of the machine is not an error of the transport, and an error of the transport comes again.
    """
    result, took = await _timed(receiver, deadline_seconds)
    if took >= deadline_seconds + SLACK_SECONDS or not wanted(result):
        result, took = await _timed(receiver, deadline_seconds)
    assert took < deadline_seconds + SLACK_SECONDS
    return result


async def _timed(receiver: Receiver, deadline_seconds: float) -> tuple[Result, float]:
    async with guarded_transport(receiver) as transport:
        request = outbound(receiver, deadline_seconds=deadline_seconds)
        started = time.monotonic()
        result: Result
        try:
            result = await transport.exchange(request)
        except ExchangeFailedError as error:
            result = error
        took = time.monotonic() - started
        await settled(transport)
    return result, took


def failed_as(kind: FailureKind) -> Callable[[Result], bool]:
    """
    Return a predicate: the exchange failed with this kind.
    """
    return lambda result: isinstance(result, ExchangeFailedError) and result.kind is kind


def responded(result: Result) -> bool:
    """
    Tell whether an exchange ended with a response.
    """
    return isinstance(result, Response)


def responded_with(body: bytes) -> Callable[[Result], bool]:
    """
    Return a predicate: the exchange ended with a response whose body begins with *body*.
    """
    return lambda result: isinstance(result, Response) and result.body.startswith(body)

"""
From a URL to an open connection: resolve, judge, connect to what was judged, shake hands.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.connection import Connection, Key
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.resolver import Resolver
from dispatch_service.egress.timings import Phase, Stopwatch
from dispatch_service.egress.tls import TlsContexts
from service_runtime.rules.addresses import AllowList, why_forbidden
from service_runtime.rules.urls import Url

MAX_TRIED_ADDRESSES = 4

Connect = Callable[[str, int], Awaitable[socket.socket]]
Lost = Callable[[Connection], None]


class Opener(Protocol):
    """
    What opens connections: the connector, or a way through an egress proxy.
    """

    async def open(
        self, request: OutboundRequest, key: Key, stopwatch: Stopwatch, lost: Lost
    ) -> Connection:
        """
        Open a connection for a request; raise `ExchangeFailedError`. May be cancelled.
        """

    def close(self) -> None:
        """
        Let go of what is held.
        """


async def connect_tcp(address: str, port: int) -> socket.socket:
    """
    Connect to a literal address; raise `OSError`.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class Connector:
    """
    Opens connections straight to the receivers. The guard: only judged addresses are dialled.
    """

    def __init__(
        self,
        resolver: Resolver,
        contexts: TlsContexts,
        allow: AllowList,
        *,
        connect: Connect = connect_tcp,
    ) -> None:
        self._resolver = resolver
        self._contexts = contexts
        self._allow = allow
        self._connect = connect

    async def open(
        self, request: OutboundRequest, key: Key, stopwatch: Stopwatch, lost: Lost
    ) -> Connection:
        """
        Open a connection for a request; raise `ExchangeFailedError`.

        The certificate is checked against the name in the URL, whatever address was dialled.
        """
        url = request.url
        secure = url.scheme == "https"
        context = await self._contexts.context(request.identity) if secure else None
        stopwatch.enter(Phase.DNS)
        addresses = await self._judged(request.owner, url)
        stopwatch.enter(Phase.CONNECT)
        sock, address = await self._connected(addresses, url, stopwatch.deadline_at)
        if secure:
            stopwatch.enter(Phase.TLS)
        connection = Connection(asyncio.get_running_loop(), key, address, lost)
        await shake_hands(sock, url, context, connection)
        stopwatch.enter(Phase.ANSWER)
        return connection

    def close(self) -> None:
        """
        Let go of the resolver's threads.
        """
        self._resolver.close()

    async def _judged(self, owner: str, url: Url) -> tuple[str, ...]:
        """
        Resolve the host and judge every answer: one that is forbidden refuses the name.
        """
        addresses = await self._resolver.resolve(owner, url.host)
        if not addresses:
            raise ExchangeFailedError(FailureKind.DNS, "the host name does not resolve")
        for address in addresses:
            self._judge(url, address)
        return addresses[:MAX_TRIED_ADDRESSES]

    def _judge(self, url: Url, address: str) -> None:
        """
        Refuse an address that is neither public nor on the operator's allow-list.
        """
        why = why_forbidden(address)
        if (
            why is not None
            and not self._allow.has_host(url.host, url.port)
            and not self._allow.has_address(address, url.port)
        ):
            raise ExchangeFailedError(
                FailureKind.BLOCKED_ADDRESS,
                "the destination is not a public address",
                f"{url.endpoint} is {address}, {why}",
            )

    async def _connected(
        self, addresses: tuple[str, ...], url: Url, deadline_at: float
    ) -> tuple[socket.socket, str]:
        """
        Connect to the first address that answers; each gets an equal share of the time left.
        """
        problem: OSError | None = None
        for number, address in enumerate(addresses):
            share = (deadline_at - time.monotonic()) / (len(addresses) - number)
            try:
                # The total deadline cancels from outside; this bounds one address of several.
                async with asyncio.timeout(share):
                    return await self._connected_to(address, url), address
            except OSError as error:
                problem = error
        raise _connect_failure(problem)

    async def _connected_to(self, address: str, url: Url) -> socket.socket:
        """
        Connect to a judged address, and judge who is at the other end.
        """
        sock = await self._connect(address, url.port)
        try:
            self._judge(url, sock.getpeername()[0])
        except BaseException:
            sock.close()
            raise
        return sock


async def shake_hands(
    sock: socket.socket, url: Url, context: ssl.SSLContext | None, connection: Connection
) -> None:
    """
    Give a connected socket to the event loop, through a TLS handshake where there is a context.
    """
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(
            lambda: connection,
            sock=sock,
            ssl=context,
            server_hostname=None if context is None else url.host,
        )
    except ssl.SSLCertVerificationError as error:
        raise ExchangeFailedError(
            FailureKind.CERTIFICATE, f"the server's certificate is refused: {error.verify_message}"
        ) from None
    except (OSError, ValueError) as error:
        raise ExchangeFailedError(
            FailureKind.TLS, "the TLS handshake failed", f"{url.endpoint}: {error}"
        ) from None
    except BaseException:
        # Cancelled just after the handshake: a polite close would wait for the peer's farewell.
        connection.abort()
        raise


def _connect_failure(problem: OSError | None) -> ExchangeFailedError:
    """
    Tell why no address could be connected to, in the system's words and without the address.
    """
    if isinstance(problem, TimeoutError) and problem.errno is None:
        return ExchangeFailedError(FailureKind.TIMEOUT, "the deadline passed while connecting")
    words = "no answer"
    if problem is not None and problem.errno:
        with suppress(ValueError):
            words = os.strerror(problem.errno).lower()
    return ExchangeFailedError(FailureKind.CONNECT, f"cannot connect: {words}")

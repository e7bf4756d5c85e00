"""
Open a connection: resolve the host, check its addresses, connect to one of them, and make the TLS
handshake.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.clocks import ExchangeClock, Phase
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.opening import OnLost
from dispatch_service.egress.racing import first_connected, in_turns
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.resolver import Resolver
from dispatch_service.egress.tls.causes import tls_failure
from dispatch_service.egress.tls.contexts import TlsContexts
from dispatch_service.egress.tls.observed import Handshake, current
from service_runtime.rules.addresses import AllowList, why_forbidden
from service_runtime.rules.urls import Url
from shipedge.webhooks.failures.causes import Cause

MAX_TRIED_ADDRESSES = 4

# The connection was made, and reset before it could be used.
_ENDED = frozenset({errno.ECONNRESET, errno.ENOTCONN})

Connect = Callable[[str, int], Awaitable[socket.socket]]


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
    Open connections straight to the receivers. The guard: only checked addresses are connected to.
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
        self, request: OutboundRequest, clock: ExchangeClock, on_lost: OnLost
    ) -> Connection:
        """
        Open a connection for a request; raise `ExchangeFailedError`.

        The certificate is checked against the name in the URL, whichever address is connected to.
        """
        url = request.url
        secure = url.scheme == "https"
        context = await self._contexts.context(request.identity) if secure else None
        clock.enter(Phase.DNS)
        addresses = await self._resolver.resolve(request.owner, url.host)
        self._check_all(url, addresses)
        clock.enter(Phase.CONNECT)
        tried = in_turns(addresses)[:MAX_TRIED_ADDRESSES]
        sock, address = await self._connect_first(tried, url)
        if secure:
            clock.enter(Phase.TLS)
        connection = await establish(sock, request, context, address, on_lost)
        clock.enter(Phase.RESPONSE)
        return connection

    def close(self) -> None:
        """
        Release the threads of the resolver.
        """
        self._resolver.close()

    def _check_all(self, url: Url, addresses: tuple[str, ...]) -> None:
        """
        Check every address of a host: one forbidden address refuses the host.
        """
        if not addresses:
            raise ExchangeFailedError(Cause.NO_PUBLIC_ADDRESS)
        for address in addresses:
            self._check(url, address)

    def _check(self, url: Url, address: str) -> None:
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
                Cause.NO_PUBLIC_ADDRESS,
                f"{url.endpoint} is {address}, {why}",
                kind=FailureKind.BLOCKED_ADDRESS,
            )

    async def _connect_first(
        self, addresses: tuple[str, ...], url: Url
    ) -> tuple[socket.socket, str]:
        """
        Connect to the first address that accepts; the deadline of the exchange bounds all.
        """
        try:
            return await first_connected(addresses, lambda it: self._connect_checked(it, url))
        except OSError as error:
            raise _connect_error(error, secure=url.scheme == "https") from None

    async def _connect_checked(self, address: str, url: Url) -> socket.socket:
        """
        Check an address, connect to it, and check the address of the peer as well.
        """
        self._check(url, address)
        sock = await self._connect(address, url.port)
        try:
            self._check(url, sock.getpeername()[0])
        except BaseException:
            sock.close()
            raise
        return sock


async def establish(
    sock: socket.socket,
    request: OutboundRequest,
    context: ssl.SSLContext | None,
    address: str | None,
    on_lost: OnLost,
) -> Connection:
    """
    Make a connection of a connected socket, with a TLS handshake if there is a context.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(loop, request.connection_key, address, on_lost)
    url = request.url
    if context is not None:
        connection.handshake = Handshake()
    observed = current.set(connection.handshake)
    try:
        await loop.create_connection(
            lambda: connection,
            sock=sock,
            ssl=context,
            server_hostname=None if context is None else url.host,
        )
    except (OSError, ValueError) as error:
        raise tls_failure(
            error,
            asked=connection.handshake is not None and connection.handshake.asked,
            has_certificate=request.identity is not None,
            detail=f"{url.endpoint}: {error}",
        ) from None
    except BaseException:
        # Cancelled just after the handshake: an orderly close would wait for the peer.
        connection.abort()
        raise
    finally:
        current.reset(observed)
    return connection


def _connect_error(problem: OSError, *, secure: bool) -> ExchangeFailedError:
    """
    Say why no address could be connected to, in the system's words and without the address.

    A server that accepts a connection and resets it is the same, however soon it does.
    """
    if problem.errno in _ENDED:
        if secure:
            return tls_failure(None, asked=False, has_certificate=False)
        return ExchangeFailedError(Cause.CLOSED_UNANSWERED)
    words = "no answer"
    if problem.errno:
        with suppress(ValueError):
            words = os.strerror(problem.errno).lower()
    return ExchangeFailedError(Cause.NOT_CONNECTED, why=words)

"""
Connections through an operator's egress proxy, which then is the guard: it resolves the names and
decides which addresses are allowed.
"""

import asyncio
import re
import socket
from urllib.parse import urlsplit

from dispatch_service.egress.clocks import ExchangeClock, Phase
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.connector import connect_tcp, establish
from dispatch_service.egress.opening import OnLost
from dispatch_service.egress.racing import first_connected, in_turns
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.tls.contexts import TlsContexts
from shipedge.webhooks.failures.causes import Cause

MAX_RESPONSE = 16 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_DEFAULT_PORT = 3128


class EgressProxy:
    """
    Open connections with `CONNECT` through an HTTP proxy, given as `http://host:port`.

    Every failure before the proxy has agreed is of kind proxy, so that it does not count against
    the customer. The proxy resolves the names; certificates are checked here.
    """

    def __init__(self, url: str, contexts: TlsContexts) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.username:
            raise ValueError("the egress proxy must be given as http://host:port")
        self._address = parts.hostname, parts.port or _DEFAULT_PORT
        self._contexts = contexts

    @property
    def port(self) -> int:
        """
        The port on which the proxy listens.
        """
        return self._address[1]

    async def probe(self, target: str) -> None:
        """
        Have the proxy connect to *target*, `host:port`, and close the connection.

        Raises `ExchangeFailedError` if it does not connect.
        """
        (await self._tunnel(target)).close()

    async def open(
        self, request: OutboundRequest, clock: ExchangeClock, on_lost: OnLost
    ) -> Connection:
        """
        Open a connection for a request; raise `ExchangeFailedError`.
        """
        url = request.url
        secure = url.scheme == "https"
        context = await self._contexts.context(request.identity) if secure else None
        clock.enter(Phase.CONNECT)
        sock = await self._tunnel(url.endpoint.removeprefix(f"{url.scheme}://"))
        if secure:
            clock.enter(Phase.TLS)
        connection = await establish(sock, request, context, None, on_lost)
        clock.enter(Phase.RESPONSE)
        return connection

    def close(self) -> None:
        """
        Do nothing: no resource is held between calls.
        """

    async def _tunnel(self, target: str) -> socket.socket:
        """
        Connect to the proxy and request a tunnel to *target*, `host:port`.
        """
        sock = await self._connect()
        try:
            await _request_tunnel(sock, target)
        except OSError as error:
            sock.close()
            raise ExchangeFailedError(Cause.PROXY_SILENT, str(error)) from None
        except BaseException:
            sock.close()
            raise
        return sock

    async def _connect(self) -> socket.socket:
        """
        Connect to the proxy, whose name is trusted and may be internal.
        """
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = in_turns([str(address[0]) for *_, address in found])
            sock, _ = await first_connected(addresses, lambda it: connect_tcp(it, port))
        except OSError as error:
            raise ExchangeFailedError(Cause.PROXY_UNREACHABLE, str(error)) from None
        return sock


async def _request_tunnel(sock: socket.socket, target: str) -> None:
    """
    Send `CONNECT`, and read the response up to the empty line and no further.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    response = b""
    while not response.endswith(b"\r\n\r\n"):
        piece = await loop.sock_recv(sock, MAX_RESPONSE - len(response))
        response += piece
        if not piece or (b"\r\n\r\n" in response and not response.endswith(b"\r\n\r\n")):
            break
    status = _STATUS.match(response)
    if status is None or not response.endswith(b"\r\n\r\n"):
        raise ExchangeFailedError(Cause.PROXY_SILENT, repr(response[:100]))
    if not status[1].startswith(b"2"):
        raise ExchangeFailedError(Cause.PROXY_REFUSED, repr(response[:100]))

"""
The way out through an operator's proxy, which then is the guard: it resolves and judges.
"""

import asyncio
import re
import socket
from urllib.parse import urlsplit

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.connection import Connection, Key
from dispatch_service.egress.connector import Lost, shake_hands
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.timings import Phase, Stopwatch
from dispatch_service.egress.tls import TlsContexts

MAX_ANSWER = 16 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_DEFAULT_PORT = 3128


class EgressProxy:
    """
    Opens connections by way of `CONNECT` through an HTTP proxy, given as `http://host:port`.

    Whatever goes wrong between here and the proxy's consent is of kind proxy, so that nobody
    charges it to the customer. Names are resolved by the proxy; certificates are checked here.
    """

    def __init__(self, url: str, contexts: TlsContexts) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.username:
            raise ValueError("the egress proxy must be given as http://host:port")
        self._address = parts.hostname, parts.port or _DEFAULT_PORT
        self._contexts = contexts

    async def open(
        self, request: OutboundRequest, key: Key, stopwatch: Stopwatch, lost: Lost
    ) -> Connection:
        """
        Open a connection for a request; raise `ExchangeFailedError`.
        """
        url = request.url
        secure = url.scheme == "https"
        context = await self._contexts.context(request.identity) if secure else None
        stopwatch.enter(Phase.CONNECT)
        sock = await self._tunnel(url.endpoint.removeprefix(f"{url.scheme}://"))
        if secure:
            stopwatch.enter(Phase.TLS)
        connection = Connection(asyncio.get_running_loop(), key, None, lost)
        await shake_hands(sock, url, context, connection)
        stopwatch.enter(Phase.ANSWER)
        return connection

    def close(self) -> None:
        """
        Hold nothing, let go of nothing.
        """

    async def _tunnel(self, target: str) -> socket.socket:
        """
        Connect to the proxy and have it connect to *target*, `host:port`.
        """
        sock = await self._connected()
        try:
            await _ask(sock, target)
        except OSError as error:
            sock.close()
            raise _proxy_failure("the egress proxy does not answer", str(error)) from None
        except BaseException:
            sock.close()
            raise
        return sock

    async def _connected(self) -> socket.socket:
        """
        Connect to the proxy, whose name is trusted and may be internal.
        """
        loop = asyncio.get_running_loop()
        problem = ""
        try:
            found = await loop.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
        except OSError as error:
            found, problem = [], str(error)
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                problem = str(error)
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise _proxy_failure("the egress proxy cannot be reached", problem)


async def _ask(sock: socket.socket, target: str) -> None:
    """
    Ask the proxy for a tunnel, and read its answer up to the empty line and no further.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = await loop.sock_recv(sock, MAX_ANSWER - len(answer))
        answer += piece
        if not piece or (b"\r\n\r\n" in answer and not answer.endswith(b"\r\n\r\n")):
            break
    status = _STATUS.match(answer)
    if status is None or not answer.endswith(b"\r\n\r\n"):
        raise _proxy_failure("the egress proxy does not answer", repr(answer[:100]))
    if not status[1].startswith(b"2"):
        raise _proxy_failure("the egress proxy refused the destination", repr(answer[:100]))


def _proxy_failure(error: str, detail: str) -> ExchangeFailedError:
    """
    Tell of trouble with the proxy; where it stands is for the operator's log alone.
    """
    return ExchangeFailedError(FailureKind.PROXY, error, detail)

"""
Receivers of webhooks on loopback, correct and hostile, with certificates of one test authority.

    async with https_receiver(answering(200)) as receiver:
        await post(receiver.url)
        assert receiver.requests[0].body == b"{}"

A receiver runs on the event loop of the test. Its script gets every request with its streams, so
it can answer, send slowly, send too much, reset the connection, or send nothing.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

import trustme

HOST = "hooks.acme.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """
    One request as it arrived, at a time of the monotonic clock, with the methods that answer it.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    peer_certificate: dict[str, object] | None
    writer: asyncio.StreamWriter = field(repr=False)
    arrived_at: float = field(default_factory=time.monotonic)

    async def answer(
        self, status: int = 200, body: bytes = b"ok", headers: tuple[str, ...] = ()
    ) -> None:
        """
        Answer, and keep the connection open.
        """
        lines = (f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers)
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def send(self, raw: bytes) -> None:
        """
        Send bytes unchanged.
        """
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> None:
        """
        End the connection with a TCP reset.
        """
        reset(self.writer)


Script = Callable[[Received], Awaitable[None]]


@dataclass(kw_only=True)
class Receiver:
    """
    A running receiver: its address, the authority of its certificate, and its requests.
    """

    scheme: str
    host: str
    port: int
    ca_pem: str
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    open_writers: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)

    @property
    def url(self) -> str:
        """
        Return a URL of this receiver.
        """
        return f"{self.scheme}://{self.host}:{self.port}/hook"

    def drop_connections(self) -> None:
        """
        Reset every open connection.
        """
        for writer in tuple(self.open_writers):
            reset(writer)


def answering(status: int = 200, body: bytes = b"ok", headers: tuple[str, ...] = ()) -> Script:
    """
    Return a script that gives every request the same answer.
    """

    async def script(received: Received) -> None:
        await received.answer(status, body, headers)

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    """
    End a connection with a TCP reset instead of an orderly close.
    """
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Switch:
    """
    A script of a receiver that answers with *status*.
    """

    def __init__(self, status: int) -> None:
        self.status = status

    async def __call__(self, received: Received) -> None:
        await received.answer(self.status)


@cache
def authority() -> trustme.CA:
    """
    Return the authority that signs the receivers' certificates.

    There is one for the whole run, because keys take long to make.
    """
    return trustme.CA()


@cache
def server_certificate(*names: str) -> trustme.LeafCert:
    """
    Return a server certificate for *names*.
    """
    return authority().issue_cert(*names)


def ca_pem(of: trustme.CA | None = None) -> str:
    """
    Return the certificate of an authority as PEM.
    """
    return (of or authority()).cert_pem.bytes().decode()


@asynccontextmanager
async def https_receiver(
    script: Script,
    *,
    host: str = HOST,
    certificate: trustme.LeafCert | None = None,
    client_authority: trustme.CA | None = None,
    max_tls: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    port: int = 0,
) -> AsyncIterator[Receiver]:
    """
    Run an HTTPS receiver on *port*, or a free one if that is 0.

    With a client authority it requires a client certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = max_tls
    (certificate or server_certificate(HOST, "127.0.0.1", "localhost")).configure_cert(context)
    if client_authority is not None:
        client_authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    async with _receiver(script, "https", host, context, port) as receiver:
        yield receiver


@asynccontextmanager
async def http_receiver(script: Script, *, host: str = HOST) -> AsyncIterator[Receiver]:
    """
    Run a receiver without TLS.
    """
    async with _receiver(script, "http", host, None) as receiver:
        yield receiver


@asynccontextmanager
async def raw_receiver(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    scheme: str = "https",
    host: str = HOST,
) -> AsyncIterator[Receiver]:
    """
    Run a TCP server that calls the script once for each connection.
    """
    receiver = Receiver(scheme=scheme, host=host, port=0, ca_pem=ca_pem())

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        await script(reader, writer)

    async with _listening(receiver, connected, None):
        yield receiver


@asynccontextmanager
async def _receiver(
    script: Script, scheme: str, host: str, context: ssl.SSLContext | None, port: int = 0
) -> AsyncIterator[Receiver]:
    receiver = Receiver(scheme=scheme, host=host, port=port, ca_pem=ca_pem())

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        number = receiver.connections
        while (received := await _read(reader, writer, number)) is not None:
            receiver.requests.append(received)
            await script(received)

    async with _listening(receiver, connected, context):
        yield receiver


@asynccontextmanager
async def _listening(
    receiver: Receiver,
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext | None,
) -> AsyncIterator[None]:
    """
    Listen on the receiver's port, or on a free one.

    At the end abort every connection and wait for its script.
    """
    scripts: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        scripts.add(task)
        receiver.open_writers.add(writer)
        try:
            await connected(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            receiver.open_writers.discard(writer)
            writer.transport.abort()
            scripts.discard(task)

    server = await asyncio.start_server(
        guarded, "127.0.0.1", receiver.port, ssl=context, backlog=1024
    )
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        running = tuple(scripts)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
) -> Received | None:
    """
    Read one request; None at the end of the connection.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, OSError):
        return None
    start, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = start.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Received(
        method=method,
        target=target,
        headers=headers,
        body=await reader.readexactly(int(headers.get("content-length", "0"))),
        connection=number,
        peer_certificate=writer.get_extra_info("peercert"),
        writer=writer,
    )

"""
The benchmark's HTTPS receiver, a process of its own. It measures the time since each event was
published.

    python -m tests.bench.receiver CERTIFICATE.pem

The path selects the answer: `/ok` at once, `/slow/MILLISECONDS` later, `/hang` never. The process
prints its port. It then reads commands, `reset` or `report`, one a line, and prints one line of
JSON for each. An event id of `t` and nanoseconds of the monotonic clock, which all processes of
a machine share, holds the time of its publish call.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

from tests.bench.figures import percentile

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
_LENGTH = b"\r\nContent-Length: "
_EVENT_ID = b"\r\nX-Shipedge-Event-Id: t"


@dataclass
class PathCounts:
    """
    The requests for one path since the last reset. Times are monotonic nanoseconds.
    """

    requests: int = 0
    first_ns: int = 0
    last_ns: int = 0
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))

    def add(self, now_ns: int, published_ns: int | None) -> None:
        self.requests += 1
        self.first_ns = self.first_ns or now_ns
        self.last_ns = now_ns
        if published_ns is not None:
            self.latencies_ms.append((now_ns - published_ns) / 1e6)

    def report(self) -> dict[str, Any]:
        ordered = sorted(self.latencies_ms)
        return {
            "requests": self.requests,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "p50_ms": percentile(ordered, 50),
            "p99_ms": percentile(ordered, 99),
        }


@dataclass
class Counts:
    """
    The connections and requests since the last reset.
    """

    connections: int = 0
    open_connections: int = 0
    max_open: int = 0
    paths: dict[str, PathCounts] = field(default_factory=dict)

    def reset(self) -> None:
        """
        Start counting anew.
        """
        self.connections = 0
        self.max_open = self.open_connections
        self.paths = {}

    def report(self) -> dict[str, Any]:
        """
        Return the counts since the last reset, and the CPU time of this process since its start.
        """
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "connections": self.connections,
            "max_open": self.max_open,
            "cpu_s": used.ru_utime + used.ru_stime,
            "paths": {path: seen.report() for path, seen in self.paths.items()},
        }


class Connection(asyncio.Protocol):
    """
    One connection of a client.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        counts = self._counts
        counts.connections += 1
        counts.open_connections += 1
        counts.max_open = max(counts.max_open, counts.open_connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.open_connections -= 1
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """
        Answer the requests that are complete.
        """
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end])
            start = head.index(_LENGTH) + len(_LENGTH)
            length = end + 4 + int(head[start:].partition(b"\r\n")[0])
            if len(self._received) < length:
                return
            del self._received[:length]
            self._take(head)

    def _take(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        seen = self._counts.paths.setdefault(path, PathCounts())
        start = head.find(_EVENT_ID)
        published = int(head[start + len(_EVENT_ID) :].partition(b"-")[0]) if start >= 0 else None
        seen.add(time.monotonic_ns(), published)
        _, kind, *wait = path.split("/")
        if kind == "ok":
            self._answer()
        elif kind == "slow":
            asyncio.get_running_loop().call_later(int(wait[0]) / 1000, self._answer)

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(_ANSWER)


async def serve(certificate: str) -> None:
    """
    Serve until the input ends.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(counts), "127.0.0.1", 0, ssl=context, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        if line.strip() == b"reset":
            counts.reset()
        print(json.dumps(counts.report()), flush=True)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))

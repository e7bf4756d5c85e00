"""
gRPC servers with their limits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import grpc

from service_runtime.rpc.gate.method import CountsCalls, OpenCalls
from service_runtime.rpc.gate.open_streams import STREAM_SECONDS
from service_runtime.rpc.shielded import finish_shielded

_SECOND_MS = 1000
_MINUTE_MS = 60 * _SECOND_MS
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})

BATCH_BYTES = 16 * 1024 * 1024
"""
The largest message that is received at all. Methods refuse what is too large for them, and say so.
"""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", BATCH_BYTES),
    # What is received ahead of a call that waits or is refused: 64 KiB, whatever the bandwidth.
    # A message that is asked for is received at full speed all the same.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.keepalive_time_ms", _MINUTE_MS),
    ("grpc.keepalive_timeout_ms", 20 * _SECOND_MS),
    # Clients may ping every ten seconds, idle or not.
    ("grpc.http2.min_ping_interval_without_data_ms", 9 * _SECOND_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    # Connections are spread over replicas anew as they age: new calls take a new one. Streams
    # end by themselves within the grace, after their answers; the library would cut them off.
    ("grpc.max_connection_age_ms", 30 * _MINUTE_MS),
    ("grpc.max_connection_age_grace_ms", int(STREAM_SECONDS) * _SECOND_MS + _MINUTE_MS),
    ("grpc.max_connection_idle_ms", 10 * _MINUTE_MS),
    ("grpc.server_handshake_timeout_ms", 10 * _SECOND_MS),
    # It refuses streams at random of clients that keep to the limit, because it counts calls
    # until they are cleaned up, not until they are answered.
    ("grpc.http.overload_protection", 0),
    # Calls that wait to be accepted. Past these numbers the library drops calls at random,
    # without an answer; the limits of callers and `MOST_CALLS` refuse them before that.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
)

MOST_CALLS = 10_000
"""
The calls of all callers that the library lets run. It refuses others without a reason, so it is
more than what the limits of callers allow.
"""


LOOK_SECONDS, LAST_ANSWERS_SECONDS = 0.01, 0.1
"""
How often a server that stops looks whether calls are open, and how long it waits then until their
answers are sent.
"""


@dataclass(frozen=True, slots=True)
class _Parts:
    """
    What a server stops with: its ports, and what its interceptors know of its calls.
    """

    ports: frozenset[int]
    calls: Sequence[OpenCalls]


_parts: WeakKeyDictionary[grpc.aio.Server, _Parts] = WeakKeyDictionary()


class PortTakenError(Exception):
    """
    Another process listens on the address.
    """


@dataclass(frozen=True, slots=True)
class Listener:
    """
    An address to listen on, `host:port`, with TLS.
    """

    listen: str
    credentials: grpc.ServerCredentials


def taken(listen: str) -> str:
    """
    Return the message that *listen* is in use.
    """
    return f"cannot listen on {listen}: is another process there?"


def build(
    listen: str,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    credentials: grpc.ServerCredentials | None,
    more_listeners: Sequence[Listener] = (),
    reuse_port: bool = False,
    connection_streams: int = 100,
    connections: int = 4000,
    more_options: Sequence[tuple[str, Any]] = (),
) -> tuple[grpc.aio.Server, int]:
    """
    Create a server for *listen*, `host:port`; return it with its port.

    Without *credentials* it has no TLS. *more_listeners* lead to the same methods through the
    same interceptors. With *reuse_port*, processes share the ports, and the kernel gives each
    connection to one of them. A connection may have *connection_streams* calls open; clients
    keep others back. Each listener has up to *connections*, half-open ones too, and closes more
    at once. *more_options* are options of the library.

    Raises `PortTakenError`.
    """
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=[
            *OPTIONS,
            ("grpc.max_concurrent_streams", connection_streams),
            # Each listener counts its own.
            ("grpc.max_allowed_incoming_connections", connections),
            ("grpc.so_reuseport", int(reuse_port)),
            *more_options,
        ],
        maximum_concurrent_rpcs=MOST_CALLS,
    )
    port = _listen(server, listen, credentials)
    more = [_listen(server, it.listen, it.credentials) for it in more_listeners]
    calls = [it.calls for it in interceptors if isinstance(it, CountsCalls)]
    _parts[server] = _Parts(frozenset({port, *more}), calls)
    return server, port


def _listen(
    server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None
) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, credentials)
    except RuntimeError as refused:
        raise PortTakenError(taken(listen)) from refused


async def stop(server: grpc.aio.Server, grace_seconds: float) -> None:
    """
    Refuse new calls with `UNAVAILABLE`, wait for those that are open, and close all connections;
    calls that are open after *grace_seconds* end.

    The library cannot refuse calls that arrive while it shuts down: it cancels them, and their
    callers see `CANCELLED`. Those of connections that were closed before see `UNAVAILABLE`.
    """
    parts = _parts.pop(server, _Parts(frozenset(), ()))
    for each in parts.calls:
        each.refusing = True
    end = time.monotonic() + grace_seconds
    while any(it.count for it in parts.calls) and time.monotonic() < end:  # noqa: ASYNC110 - rare
        await asyncio.sleep(LOOK_SECONDS)
    if parts.calls and grace_seconds:
        await asyncio.sleep(LAST_ANSWERS_SECONDS)
    close_connections(parts.ports)
    await server.stop(None)
    await finish_shielded()


def close_connections(ports: frozenset[int]) -> None:
    """
    Close the connections of this process to its *ports*. Where the system does not list what is
    open in `/proc` they stay.
    """
    listed = Path("/proc/self/fd")
    entries = list(listed.iterdir()) if ports and listed.exists() else []
    for entry in filter(Path.is_socket, entries):
        # One that was closed meanwhile is none of ours.
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as found:
            is_listener = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if found.family in _FAMILIES and found.getsockname()[1] in ports and not is_listener:
                found.shutdown(socket.SHUT_RDWR)

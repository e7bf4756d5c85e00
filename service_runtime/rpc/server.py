"""
gRPC servers with their limits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from service_runtime.rpc.errors import ShuttingDown
from service_runtime.rpc.shielded import finish_shielded

_SECOND_MS = 1000
_MINUTE_MS = 60 * _SECOND_MS

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
    # Connections are spread over replicas anew as they age; their streams are opened again.
    ("grpc.max_connection_age_ms", 30 * _MINUTE_MS),
    ("grpc.max_connection_age_grace_ms", 30 * _SECOND_MS),
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


QUIET_SECONDS, QUIET_LOOKS = 0.01, 5
UNTIL_REFUSED_SECONDS, REFUSING_SECONDS = 0.5, 1.0
"""
A server stops when it has accepted no call at so many looks in a row. If that does not come, it
refuses new calls, and stops in any case.
"""


class AcceptedCalls:
    """
    The *count* of calls that the server of this process has accepted; whether it is *refusing*
    new ones.
    """

    def __init__(self) -> None:
        self.count = 0
        self.refusing = False

    def check(self) -> None:
        """
        Raise `ShuttingDown` if new calls are refused.
        """
        if self.refusing:
            raise ShuttingDown


accepted = AcceptedCalls()


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
    for listener in more_listeners:
        _listen(server, listener.listen, listener.credentials)
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
    Refuse new calls, wait for running ones, and cancel the rest after *grace_seconds*.

    The library cancels calls that it has received and not yet handed over. Their callers would
    see `CANCELLED`, so a moment is awaited when there are none.
    """
    try:
        if not await _quiet(UNTIL_REFUSED_SECONDS):
            accepted.refusing = True
            await _quiet(REFUSING_SECONDS)
        await server.stop(grace_seconds)
        await finish_shielded()
    finally:
        accepted.refusing = False


async def _quiet(seconds: float) -> bool:
    """
    Wait, for so many seconds at most, until no call was accepted for a moment; tell whether it
    came. A look that took too long says nothing: on a busy machine calls are accepted late.
    """
    looks = 0
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        before = accepted.count
        await asyncio.sleep(QUIET_SECONDS)
        is_late = time.monotonic() - began > 2 * QUIET_SECONDS
        looks = 0 if is_late or accepted.count != before else looks + 1
        if looks == QUIET_LOOKS:
            return True
    return False

"""
The construction of a gRPC server with its limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from service_runtime.rpc import shielded
from shipedge.webhooks.client.channel import MESSAGE_BYTES

_MINUTE_MS = 60_000

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.keepalive_time_ms", _MINUTE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    # Calls that nobody has looked at yet: past these the library cancels them by chance, of
    # which callers learn nothing. Before, `most_calls` refuses them as they should be.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
)


class PortTakenError(Exception):
    """
    Somebody else listens on the address.
    """


def taken(listen: str) -> str:
    """
    Say that *listen* cannot be listened on.
    """
    return f"cannot listen on {listen}: is another process there?"


def build(
    listen: str,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    credentials: grpc.ServerCredentials | None,
    reuse_port: bool = False,
    most_calls: int = 1000,
) -> tuple[grpc.aio.Server, int]:
    """
    Make a server that will listen on *listen*, `host:port`, and return it with its port.

    Without *credentials* it speaks plain text. With *reuse_port* others that ask for the
    same share the port; the kernel gives each connection to one of them. Raises
    `PortTakenError`.
    """
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=[*_OPTIONS, ("grpc.so_reuseport", int(reuse_port))],
        maximum_concurrent_rpcs=most_calls,
    )
    try:
        port = (
            server.add_insecure_port(listen)
            if credentials is None
            else server.add_secure_port(listen, credentials)
        )
    except RuntimeError as refused:
        raise PortTakenError(taken(listen)) from refused
    return server, port


async def stop(server: grpc.aio.Server, grace_seconds: float) -> None:
    """
    Take no more calls, wait for those that run, cancel the rest after the grace.
    """
    await server.stop(grace_seconds)
    await shielded.finish()


def server_credentials(certificate: Path, key: Path, authority: Path) -> grpc.ServerCredentials:
    """
    Read what a server shows; clients may show a certificate of *authority*.

    Raises `OSError` for a file that cannot be read.
    """
    return grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=authority.read_bytes(),
        require_client_auth=True,
    )


def enable_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """
    Offer reflection of *services*, of health and of itself.
    """
    names = (*services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)

"""
Client channels and their TLS credentials.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc

from shipedge.webhooks.client.deadlines import DeadlineChannel, deadlines, without_deadlines

MESSAGE_BYTES = 4 * 1024 * 1024 + 64 * 1024
"""
The largest message: a batch of 4 MiB and its framing.
"""

SERVICE_CONFIG = (files("shipedge.webhooks") / "service_config.json").read_text()
"""
The deadlines and retries of all methods of the contract. Calls may have shorter deadlines; methods
that must not be repeated are not retried.
"""

_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A variable that is meant for browsers would cut the services off.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 1),
    ("grpc.service_config", without_deadlines(SERVICE_CONFIG)),
)

_DEADLINES = deadlines(SERVICE_CONFIG)


def connect(
    address: str,
    credentials: grpc.ChannelCredentials | None = None,
    *,
    own_connection: bool = False,
) -> grpc.aio.Channel:
    """
    Open a channel to *address*, `host:port`; without *credentials*, without TLS. Its calls have the
    deadlines and retries of `SERVICE_CONFIG`. Proxies of the environment are not used.

    Channels of a process share a connection unless *own_connection* is set.
    """
    options = _options(own_connection=own_connection)
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=options)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=options)
    return DeadlineChannel(channel, _DEADLINES)


def connect_blocking(
    address: str,
    credentials: grpc.ChannelCredentials | None = None,
    *,
    own_connection: bool = False,
    retries: bool = True,
) -> grpc.Channel:
    """
    Open a channel as `connect` does, for threads instead of asyncio. Its calls have no deadline
    of their own; without *retries*, nothing is repeated.
    """
    options = [*_options(own_connection=own_connection), ("grpc.enable_retries", int(retries))]
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def _options(*, own_connection: bool) -> list[tuple[str, Any]]:
    return [*_OPTIONS, ("grpc.use_local_subchannel_pool", int(own_connection))]


def channel_credentials(certificate: Path, key: Path, authority: Path) -> grpc.ChannelCredentials:
    """
    Read a client's certificate and key, and the authority of servers' certificates.
    """
    return grpc.ssl_channel_credentials(
        authority.read_bytes(), key.read_bytes(), certificate.read_bytes()
    )

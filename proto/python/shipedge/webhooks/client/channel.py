"""
Client channels and their TLS credentials.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc

MESSAGE_BYTES = 4 * 1024 * 1024 + 64 * 1024
"""
The largest message: a batch of 4 MiB and its framing.
"""

_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""
Only calls that failed before any effect, or may be repeated, are retried (AIP-194).
"""

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 1),
    ("grpc.service_config", json.dumps(_RETRIES)),
)


def connect(
    address: str,
    credentials: grpc.ChannelCredentials | None = None,
    *,
    own_connection: bool = False,
) -> grpc.aio.Channel:
    """
    Open a channel to *address*, `host:port`; without *credentials*, without TLS.

    Channels of a process share a connection unless *own_connection* is set.
    """
    options = [*_OPTIONS, ("grpc.use_local_subchannel_pool", int(own_connection))]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def channel_credentials(certificate: Path, key: Path, authority: Path) -> grpc.ChannelCredentials:
    """
    Read a client's certificate and key, and the authority of servers' certificates.
    """
    return grpc.ssl_channel_credentials(
        authority.read_bytes(), key.read_bytes(), certificate.read_bytes()
    )

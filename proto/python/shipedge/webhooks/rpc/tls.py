"""
TLS between the services and for callers, from PEM files.
"""

from __future__ import annotations

from pathlib import Path

import grpc


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


def channel_credentials(certificate: Path, key: Path, authority: Path) -> grpc.ChannelCredentials:
    """
    Read what a client shows, and the authority that servers' certificates come from.
    """
    return grpc.ssl_channel_credentials(
        authority.read_bytes(), key.read_bytes(), certificate.read_bytes()
    )

"""
The TLS files as they are now, for listeners, channels and the identification of callers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast

import grpc

from service_runtime.rpc.callers import Caller, Identify
from service_runtime.tls.material import (
    Content,
    Material,
    Purpose,
    TlsFiles,
    TlsInvalidError,
    check_content,
    read_content,
)

_PEER_CERTIFICATE = "x509_pem_cert"


class CurrentTls:
    """
    The certificate, key, authority and revocations of a service. Used by one event loop, and by
    the library's threads, which only read.

    Raises `TlsInvalidError` if the files cannot be used for *purposes*.
    """

    def __init__(self, files: TlsFiles, purposes: Collection[Purpose]) -> None:
        self._files = files
        self._purposes = purposes
        self._refused: Content | None = None
        self._material = check_content(files, read_content(files), purposes)

    @property
    def material(self) -> Material:
        """
        What is in force.
        """
        return self._material

    def refresh(self) -> bool:
        """
        Read the files again; return whether something changed.

        Raises `TlsInvalidError` once for each new content that cannot be used; what was in force
        stays so.
        """
        content = read_content(self._files)
        if content in {self._material.content, self._refused}:
            return False
        try:
            self._material = check_content(self._files, content, self._purposes)
        except TlsInvalidError:
            self._refused = content
            raise
        self._refused = None
        return True

    def server_credentials(self, *, ask_certificate: bool = True) -> grpc.ServerCredentials:
        """
        Make the credentials of one listener. Each handshake uses what is in force.

        Clients must show a certificate of the authority, unless *ask_certificate* is false.
        """
        shown = self._material

        def changed() -> grpc.ServerCertificateConfiguration | None:
            # Called before each handshake; a new configuration is costly.
            nonlocal shown
            if shown is self._material:
                return None
            shown = self._material
            return _configuration(shown.content, ask_certificate=ask_certificate)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(shown.content, ask_certificate=ask_certificate),
            # None, which the types leave out, means that nothing changed.
            cast("Callable[[], grpc.ServerCertificateConfiguration]", changed),
            require_client_authentication=ask_certificate,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """
        Make the credentials of a channel from what is in force.
        """
        content = self._material.content
        return grpc.ssl_channel_credentials(content.authority, content.key, content.certificate)

    def unless_revoked(self, identify: Identify) -> Identify:
        """
        Return *identify* for callers whose certificate is not revoked; the others are unknown.
        """

        def identified(
            metadata: Mapping[str, str | bytes], authentication: Mapping[str, Iterable[bytes]]
        ) -> Caller | None:
            revocations = self._material.revocations
            if revocations.serials:
                for certificate in authentication.get(_PEER_CERTIFICATE, ()):
                    if revocations.has(certificate):
                        return None
            return identify(metadata, authentication)

        return identified


def _configuration(
    content: Content, *, ask_certificate: bool
) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(content.key, content.certificate)],
        root_certificates=content.authority if ask_certificate else None,
    )

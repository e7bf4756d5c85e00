"""
What the TLS files of a service hold, and whether it can be used.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from service_runtime.tls.revocations import Revocations

DAY_SECONDS = 86_400

Purpose = Literal["server", "client"]
"""
What a certificate is used for.
"""

_USAGES = {
    "server": (ExtendedKeyUsageOID.SERVER_AUTH, "serverAuth"),
    "client": (ExtendedKeyUsageOID.CLIENT_AUTH, "clientAuth"),
}


class TlsInvalidError(Exception):
    """
    A TLS file cannot be used. The message names the file and what it must hold.
    """


class TlsFiles(NamedTuple):
    """
    The files of the certificate with its chain, of its key, of the authority, and of revoked
    certificates.
    """

    certificate: Path
    key: Path
    authority: Path
    revoked: Path | None = None


class Content(NamedTuple):
    """
    The bytes of the files.
    """

    certificate: bytes
    key: bytes
    authority: bytes
    revoked: bytes = b""


@dataclass(frozen=True, slots=True)
class Material:
    """
    Content that was checked.
    """

    content: Content
    chain: tuple[x509.Certificate, ...]
    revocations: Revocations

    def seconds_left(self, now: float) -> float:
        """
        Return the seconds from *now*, in seconds of Unix time, until a certificate expires.
        """
        return min(it.not_valid_after_utc.timestamp() for it in self.chain) - now


def read_content(files: TlsFiles) -> Content:
    """
    Read the files. Raises `TlsInvalidError` for one that cannot be read.
    """
    try:
        parts = [path.read_bytes() if path is not None else b"" for path in files]
    except OSError as error:
        raise TlsInvalidError(f"{error.filename} cannot be read ({error.strerror})") from None
    return Content(*parts)


def check_content(files: TlsFiles, content: Content, purposes: Collection[Purpose]) -> Material:
    """
    Check that the parts belong together and that the certificate may be used for *purposes*.

    Raises `TlsInvalidError`, which names the file.
    """
    chain = _certificates(files.certificate, content.certificate)
    authorities = _certificates(files.authority, content.authority)
    if _public_key(files.key, content.key) != _public_bytes(chain[0]):
        raise TlsInvalidError(f"{files.key} is not the key of the certificate {files.certificate}")
    for purpose in sorted(purposes):
        _check_purpose(files.certificate, chain[0], purpose)
    try:
        revocations = Revocations.parse(content.revoked, authorities)
    except ValueError as refused:
        raise TlsInvalidError(f"{files.revoked} {refused}") from None
    return Material(content, tuple(chain), revocations)


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TlsInvalidError(f"{path} must hold certificates in PEM") from None


def _public_key(path: Path, pem: bytes) -> bytes:
    try:
        public = load_pem_private_key(pem, None).public_key()
    except (ValueError, TypeError):
        raise TlsInvalidError(f"{path} must hold a private key in PEM, not encrypted") from None
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_bytes(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_purpose(path: Path, certificate: x509.Certificate, purpose: Purpose) -> None:
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    usage, name = _USAGES[purpose]
    if usage not in allowed and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in allowed:
        raise TlsInvalidError(
            f"{path} is used as a {purpose} certificate, but its extended key usage lacks {name}:"
            " a service needs a certificate with serverAuth and clientAuth"
        )

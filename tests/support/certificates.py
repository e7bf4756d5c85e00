"""
Client certificates for tests, good ones and each kind of bad one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2044, 1, 1, tzinfo=UTC)
WITHIN = datetime(2034, 1, 1, tzinfo=UTC)
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """
    A certificate with its key.
    """

    certificate: x509.Certificate
    key: Key

    @property
    def chain_pem(self) -> str:
        """
        The certificate as PEM.
        """
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def key_pem(self, password: str = "") -> str:
        """
        The key as PEM.
        """
        hidden = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden).decode()

    def bundle(self, password: str, *others: Issued) -> bytes:
        """
        Both, and *others*, as PKCS#12.
        """
        return pkcs12.serialize_key_and_certificates(
            b"client",
            self.key,
            self.certificate,
            [it.certificate for it in others],
            BestAvailableEncryption(password.encode()),
        )


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    key: Key | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
    authority: bool = False,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Issued:
    """
    Issue a certificate; without an issuer it signs itself.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if usage is not None and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    signed = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    return Issued(signed, key)


@cache
def root() -> Issued:
    """
    Return the authority that a receiver believes.
    """
    return issue("test authority", authority=True)


@cache
def client() -> Issued:
    """
    Return a good client certificate of the authority.
    """
    return issue("shipedge-client", root())

"""
Certificates and keys for a first start, made once:
`python -m service_runtime.process.bootstrap FOLDER HOST…`.

They are for the compose file and for trials. In production use your own.
"""

from __future__ import annotations

import argparse
import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=825)

SERVICE_ACCOUNT = 10001
"""
The id of the user and group in the image; see the Dockerfile.
"""

OPERATOR = "operator"
"""
The name in the certificate of the operator who sets up the services.
"""

Issued = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate_authority(now: datetime) -> Issued:
    """
    Make a certificate authority.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("webhooks authority")
    builder = _builder(name, name, key, now).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return builder.sign(key, hashes.SHA256()), key


def service_certificate(authority: Issued, hosts: list[str], now: datetime) -> Issued:
    """
    Make a certificate for servers and clients with the names *hosts*.
    """
    certificate, signing_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    usages = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    builder = (
        _builder(_name(hosts[0]), certificate.subject, key, now)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usages, critical=False)
    )
    return builder.sign(signing_key, hashes.SHA256()), key


def bootstrap(folder: Path, hosts: list[str], now: datetime) -> bool:
    """
    Write into *folder* an authority, a certificate for all *hosts*, one for each of them, one
    for an operator, and the keys for sealing. Return False if they are there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "keys.env").exists():
        return False
    authority = certificate_authority(now)
    _write(folder / "ca.pem", _pem(authority[0]))
    named = {"service": hosts, **{host: [host] for host in (*hosts, OPERATOR)}}
    for name, names in named.items():
        certificate, key = service_certificate(authority, names, now)
        _write(folder / f"{name}.pem", _pem(certificate))
        _write(folder / f"{name}.key", _key_pem(key))
    # Written last: if it is there, all other files are.
    _write(folder / "keys.env", keys_text(now).encode())
    return True


def keys_text(now: datetime) -> str:
    """
    Return new keys for sealing, as lines of an environment file.
    """
    sealing, hashing = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    return f"SHIPEDGE_ENCRYPTION_KEYS={now:%Y-%m-%d}:{sealing}\nSHIPEDGE_HASH_KEY={hashing}\n"


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    """
    Write a file that only the user of the services can read.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if os.geteuid() == 0:
        os.chown(path, SERVICE_ACCOUNT, SERVICE_ACCOUNT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("hosts", nargs="+")
    arguments = parser.parse_args()
    bootstrap(arguments.folder, arguments.hosts, datetime.now(UTC))  # noqa: TID251 - the program's clock

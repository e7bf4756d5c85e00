"""
Certificates, keys and passwords for a first start, made once, in a folder for each holder:
`python -m service_runtime.process.bootstrap FOLDER`.

They are for the compose file and for trials. In production use your own.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
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

DATABASE_ACCOUNT = 999
"""
The id of the user and group of PostgreSQL in its official image.
"""


class MixedSecretsError(Exception):
    """
    Some holders have their files and others lack theirs.
    """


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who gets a certificate with names of *hosts*, owned by *account*. A *service* also gets keys
    for sealing and the URL of its database.
    """

    hosts: tuple[str, ...]
    account: int = SERVICE_ACCOUNT
    service: bool = False


HOLDERS: Mapping[str, Holder] = {
    "config": Holder(("config", "localhost"), service=True),
    "dispatch": Holder(("dispatch", "localhost"), service=True),
    "receiver": Holder(("receiver",)),
    "operator": Holder(("operator",)),
    "postgres": Holder(("postgres",), DATABASE_ACCOUNT),
}
"""
The holders of the compose file, by the names of their folders.
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


def bootstrap(folder: Path, now: datetime, holders: Mapping[str, Holder] = HOLDERS) -> bool:
    """
    Write the files of each holder into its own folder in *folder*: `ca.pem`, `certificate.pem`,
    `key.pem`; for a service also `encryption_keys`, `hash_key` and `database_url`; for
    `postgres` the password of its superuser and the statements that create the databases.

    Return False if all are there already. Raises `MixedSecretsError` if only some are, because
    new ones would not fit the old ones.
    """
    there = [name for name in holders if (folder / name / "ca.pem").exists()]
    if there:
        missing = [name for name in holders if name not in there]
        if missing:
            raise MixedSecretsError(f"{', '.join(missing)} lacks files that {there[0]} has")
        return False
    authority = certificate_authority(now)
    passwords = {
        name: secrets.token_urlsafe(24) for name, holder in holders.items() if holder.service
    }
    for name, holder in holders.items():
        files = _files_of(name, holder, authority, passwords, now)
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(0o700)
        _give(folder / name, holder.account)
        # The certificate of the authority is written last: if it is there, all others are.
        for file, content in (*files.items(), ("ca.pem", _pem(authority[0]))):
            _write(folder / name / file, content, holder.account)
    return True


def _files_of(
    name: str, holder: Holder, authority: Issued, passwords: Mapping[str, str], now: datetime
) -> dict[str, bytes]:
    certificate, key = service_certificate(authority, list(holder.hosts), now)
    files = {"certificate.pem": _pem(certificate), "key.pem": _key_pem(key)}
    if holder.service:
        sealing, hashing = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        files["encryption_keys"] = f"{now:%Y-%m-%d}:{sealing}\n".encode()
        files["hash_key"] = f"{hashing}\n".encode()
        files["database_url"] = f"{database_url(name, passwords[name])}\n".encode()
    if name == "postgres":
        files["password"] = secrets.token_urlsafe(24).encode()
        files["databases.sql"] = "".join(_database(*it) for it in passwords.items()).encode()
    return files


def database_url(service: str, password: str) -> str:
    """
    Return the URL of a service's database in the compose file.
    """
    name = f"webhooks_{service}"
    return f"postgresql://{name}:{password}@postgres/{name}?sslrootcert=/run/webhooks/ca.pem"


def _database(service: str, password: str) -> str:
    name = f"webhooks_{service}"
    return (
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}';\n"
        f"CREATE DATABASE {name} OWNER {name};\n"
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;\n"
    )


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


def _write(path: Path, content: bytes, account: int) -> None:
    """
    Write a file that only *account* can read.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    _give(path, account)


def _give(path: Path, account: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, account, account)


def main() -> None:
    """
    Write the files of all holders, unless they are there.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    try:
        bootstrap(parser.parse_args().folder, datetime.now(UTC))  # noqa: TID251 - the program's clock
    except MixedSecretsError as refused:
        sys.exit(f"bootstrap: {refused}: restore its volume, or remove all of them and their data")


if __name__ == "__main__":
    main()

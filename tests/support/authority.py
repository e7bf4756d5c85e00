"""
An authority of services and callers for tests, its certificates and its lists of revoked ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service_runtime.tls.material import TlsFiles
from tests.support.certificates import END, Issued, issue

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
NOW = datetime.now(UTC)  # noqa: TID251 - certificates are valid around the run of the tests


def _authority() -> Issued:
    return issue("services' authority", authority=True)


@dataclass
class Authority:
    """
    Issues certificates for names of hosts, and writes the files of a service into *folder*.
    """

    folder: Path
    root: Issued = field(default_factory=_authority)

    def issue(
        self,
        *names: str,
        usages: tuple[x509.ObjectIdentifier, ...] | None = BOTH,
        end: datetime = END,
    ) -> Issued:
        """
        Issue a certificate with *names*; without *usages* it may be used for everything.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self.root.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=2))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        )
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return Issued(builder.sign(self.root.key, hashes.SHA256()), key)

    def revoking(self, *revoked: Issued, next_update: datetime = END) -> bytes:
        """
        Sign a list of revoked certificates, in PEM.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.root.certificate.subject)
            .last_update(NOW - timedelta(days=1))
            .next_update(next_update)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(NOW).build())
        return builder.sign(self.root.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def files(
        self, issued: Issued, name: str = "service", revoked: bytes | None = None
    ) -> TlsFiles:
        """
        Write the files of a service; files of the same *name* are replaced.
        """
        files = TlsFiles(
            self.folder / f"{name}.pem",
            self.folder / f"{name}.key",
            self.folder / "ca.pem",
            None if revoked is None else self.folder / "revoked.pem",
        )
        files.certificate.write_text(issued.chain_pem)
        files.key.write_text(issued.key_pem())
        files.authority.write_text(self.root.chain_pem)
        if files.revoked is not None:
            files.revoked.write_bytes(revoked or b"")
        return files

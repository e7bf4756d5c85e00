"""
Certificates that an authority has revoked.

The gRPC library for Python checks no list during the handshake, so the certificate of a caller
is compared with the list when the caller is identified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_MOST_REMEMBERED = 1000


@dataclass(slots=True)
class Revocations:
    """
    Serial numbers by the name of their issuer. *stale_after* is in seconds of Unix time: then the
    authority has a newer list.
    """

    serials: dict[bytes, frozenset[int]] = field(default_factory=dict)
    stale_after: float | None = None
    _known: dict[bytes, bool] = field(default_factory=dict)

    @classmethod
    def parse(cls, pem: bytes, authorities: Sequence[x509.Certificate]) -> Revocations:
        """
        Read lists in PEM; none are no revocations.

        Raises `ValueError` for a list that is not signed by one of *authorities*.
        """
        if not pem:
            return cls()
        blocks = _BLOCK.findall(pem)
        if not blocks:
            raise ValueError("must hold lists of revoked certificates in PEM (X509 CRL)")
        lists = [x509.load_pem_x509_crl(block) for block in blocks]
        for each in lists:
            if not any(_signed_by(each, authority) for authority in authorities):
                raise ValueError("must hold lists signed by the authority of SHIPEDGE_TLS_CA_FILE")
        ends = [it.next_update_utc.timestamp() for it in lists if it.next_update_utc]
        return cls(_serials(lists), min(ends, default=None))

    def has(self, certificate: bytes) -> bool:
        """
        Tell whether a certificate in PEM is revoked. One that cannot be read counts as revoked.
        """
        if not self.serials or not certificate:
            return False
        known = self._known.get(certificate)
        if known is None:
            known = self._looked_up(certificate)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[certificate] = known
        return known

    def _looked_up(self, pem: bytes) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError:
            return True
        issuer = certificate.issuer.public_bytes()
        return certificate.serial_number in self.serials.get(issuer, ())


def _serials(lists: Iterable[x509.CertificateRevocationList]) -> dict[bytes, frozenset[int]]:
    found: dict[bytes, frozenset[int]] = {}
    for each in lists:
        issuer = each.issuer.public_bytes()
        serials = frozenset(entry.serial_number for entry in each)
        found[issuer] = found.get(issuer, frozenset()) | serials
    return found


def _signed_by(revoked: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    key = authority.public_key()
    return revoked.issuer == authority.subject and revoked.is_signature_valid(key)  # type: ignore[arg-type]

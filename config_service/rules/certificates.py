"""
The rules on uploaded client certificates, and their conversion to PEM. No I/O, no clock: `now`
is passed in.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from service_runtime.rpc.errors import FieldFault, InvalidArgument
from shipedge.webhooks.config.v1.client_certificate_pb2 import (
    ClientCertificate,
    PemMaterial,
    Pkcs12Material,
)

SHORTEST_RSA_BITS = 2048
MOST_CERTIFICATES = 10
MOST_BYTES = 64 * 1024

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


@dataclass(frozen=True, slots=True)
class Material:
    """
    A certificate with its chain and its private key.
    """

    chain: Sequence[x509.Certificate]
    key: PrivateKeyTypes = field(repr=False)


class CertificateInvalid(InvalidArgument):
    reason = "CERTIFICATE_INVALID"

    def __init__(self, path: str, description: str) -> None:
        super().__init__(
            "The client certificate cannot be used.",
            faults=[FieldFault(f"client_certificate.{path}", description)],
        )


def read(message: ClientCertificate, now: datetime) -> Material:
    """
    Parse and check an uploaded certificate. Raises `CertificateInvalid`.

    The key must fit the certificate, both must be strong enough, and the chain must be in order.
    The certificate must be valid *now*, and for client authentication if it restricts its use.
    """
    match message.WhichOneof("material"):
        case "pem":
            material = _read_pem(message.pem)
            path = "pem.certificate_chain"
        case "pkcs12":
            material = _read_pkcs12(message.pkcs12)
            path = "pkcs12.bundle"
        case _:
            raise CertificateInvalid("material", "is required: pem or pkcs12")
    problem = next(_problems(material, now), None)
    if problem is not None:
        raise CertificateInvalid(path, problem)
    return material


def stored(message: ClientCertificate, material: Material) -> ClientCertificate:
    """
    Return the stored form: PEM, the key without a password, and the description.
    """
    leaf = material.chain[0]
    kept = ClientCertificate(
        display_name=message.display_name,
        pem=PemMaterial(
            certificate_chain="".join(
                certificate.public_bytes(Encoding.PEM).decode() for certificate in material.chain
            ),
            private_key=material.key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ).decode(),
        ),
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        serial_number=f"{leaf.serial_number:x}",
        sha256_fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
    )
    kept.not_before.FromDatetime(leaf.not_valid_before_utc)
    kept.not_after.FromDatetime(leaf.not_valid_after_utc)
    return kept


def public(message: ClientCertificate) -> ClientCertificate:
    """
    Remove the certificate and its key in place; the description stays.
    """
    message.ClearField("pem")
    message.ClearField("pkcs12")
    return message


def _read_pem(pem: PemMaterial) -> Material:
    if len(pem.certificate_chain) + len(pem.private_key) > MOST_BYTES:
        raise CertificateInvalid("pem", f"must be at most {MOST_BYTES} bytes")
    try:
        chain = x509.load_pem_x509_certificates(pem.certificate_chain.encode())
    except ValueError:
        raise CertificateInvalid("pem.certificate_chain", "is not a certificate in PEM") from None
    password = pem.password.encode() or None
    try:
        key = load_pem_private_key(pem.private_key.encode(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateInvalid(
            "pem.private_key", "is not a key in PEM that this password, or none, opens"
        ) from None
    return Material(chain, key)


def _read_pkcs12(bundle: Pkcs12Material) -> Material:
    if len(bundle.bundle) > MOST_BYTES:
        raise CertificateInvalid("pkcs12.bundle", f"must be at most {MOST_BYTES} bytes")
    password = bundle.password.encode() or None
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(bundle.bundle, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateInvalid(
            "pkcs12.bundle", "is not a PKCS#12 bundle that this password, or none, opens"
        ) from None
    if key is None or leaf is None:
        raise CertificateInvalid("pkcs12.bundle", "must hold a certificate and its key")
    return Material(_in_order(leaf, others), key)


def _in_order(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """
    Order the certificates of a bundle: each is followed by its issuer's.
    """
    chain, by_subject = [leaf], {it.subject: it for it in others}
    while (issuer := by_subject.pop(chain[-1].issuer, None)) is not None:
        chain.append(issuer)
    return chain


def _problems(material: Material, now: datetime) -> Iterator[str]:
    chain, leaf = material.chain, material.chain[0]
    if len(chain) > MOST_CERTIFICATES:
        yield f"must hold at most {MOST_CERTIFICATES} certificates"
    if _public_bytes(material.key.public_key()) != _public_bytes(leaf.public_key()):
        yield "must be the certificate of the private key"
    if not _strong(material.key):
        yield f"must have a key of RSA with {SHORTEST_RSA_BITS} bits or more, or P-256 and up"
    if isinstance(leaf.signature_hash_algorithm, _WEAK_HASHES):
        yield "must not be signed with MD5 or SHA-1"
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        yield "must be valid now"
    if not _for_clients(leaf):
        yield "must allow the authentication of clients"
    for certificate, issuer in itertools.pairwise(chain):
        if not _issued_by(certificate, issuer):
            yield "must begin with the certificate, each followed by its issuer's"


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _strong(key: PrivateKeyTypes) -> bool:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size >= SHORTEST_RSA_BITS
    return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES)


def _for_clients(leaf: x509.Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True

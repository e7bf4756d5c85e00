"""
Client certificates at upload: each kind of bad one is refused with the field.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from config_service.rules.certificates import CertificateInvalid, public, read, stored
from shipedge.webhooks.config.v1.client_certificate_pb2 import (
    ClientCertificate,
    PemMaterial,
    Pkcs12Material,
)
from tests.support.certificates import A_DAY, BEGIN, END, WITHIN, Issued, client, issue, root


def in_pem(
    issued: Issued, *chain: Issued, key: Issued | None = None, password: str = ""
) -> ClientCertificate:
    """
    Upload a certificate and its chain in PEM.
    """
    return ClientCertificate(
        display_name="main",
        pem=PemMaterial(
            certificate_chain="".join(it.chain_pem for it in (issued, *chain)),
            private_key=(key or issued).key_pem(password),
            password=password,
        ),
    )


def problem(message: ClientCertificate, now: datetime = WITHIN) -> tuple[str, str]:
    """
    Return the field and what it must be.
    """
    with pytest.raises(CertificateInvalid) as raised:
        read(message, now)
    (fault,) = raised.value.faults
    return fault.field.removeprefix("client_certificate."), fault.description


def test_good_one_is_described() -> None:
    """
    What is kept has a key without a password; what is shown has no key.
    """
    message = in_pem(client(), password="secret")
    kept = stored(message, read(message, WITHIN))
    assert kept.subject == "CN=shipedge-client"
    assert kept.issuer == "CN=test authority"
    assert len(kept.sha256_fingerprint) == 64
    assert kept.not_after.ToDatetime().year == END.year
    assert "BEGIN PRIVATE KEY" in kept.pem.private_key
    assert kept.pem.password == ""
    assert not public(kept).HasField("pem")


def test_bundle_is_put_in_order() -> None:
    """
    PKCS#12 has no order; what is kept begins with the certificate, then its issuers.
    """
    middle = issue("middle", root(), authority=True)
    leaf = issue("leaf", middle)
    message = ClientCertificate(
        display_name="main",
        pkcs12=Pkcs12Material(bundle=leaf.bundle("pass", root(), middle), password="pass"),
    )
    chain = read(message, WITHIN).chain
    assert [it.subject.rfc4514_string() for it in chain] == [
        "CN=leaf",
        "CN=middle",
        "CN=test authority",
    ]


def weak() -> rsa.RSAPrivateKey:
    """
    Make a key that is too short.
    """
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - the mistake itself


@pytest.mark.parametrize(
    ("message", "field", "text"),
    [
        (ClientCertificate(display_name="x"), "material", "is required"),
        (
            ClientCertificate(pem=PemMaterial(certificate_chain="no", private_key="no")),
            "pem.certificate_chain",
            "is not a certificate",
        ),
        (
            ClientCertificate(
                pem=PemMaterial(certificate_chain=client().chain_pem, private_key="no")
            ),
            "pem.private_key",
            "is not a key",
        ),
        (
            ClientCertificate(
                pem=PemMaterial(
                    certificate_chain=client().chain_pem, private_key=client().key_pem("pass")
                )
            ),
            "pem.private_key",
            "is not a key",
        ),
        (in_pem(client(), key=root()), "pem.certificate_chain", "of the private key"),
        (in_pem(issue("weak", root(), key=weak())), "pem.certificate_chain", "2048 bits"),
        (
            in_pem(issue("curve", root(), key=ec.generate_private_key(ec.SECP224R1()))),
            "pem.certificate_chain",
            "P-256",
        ),
        (
            in_pem(issue("old", root(), end=BEGIN + A_DAY)),
            "pem.certificate_chain",
            "must be valid now",
        ),
        (
            in_pem(issue("early", root(), begin=END - A_DAY)),
            "pem.certificate_chain",
            "must be valid now",
        ),
        (
            in_pem(issue("server", root(), usage=ExtendedKeyUsageOID.SERVER_AUTH)),
            "pem.certificate_chain",
            "authentication of clients",
        ),
        (
            in_pem(client(), issue("stranger", authority=True)),
            "pem.certificate_chain",
            "followed by its issuer",
        ),
        (
            ClientCertificate(pkcs12=Pkcs12Material(bundle=b"no")),
            "pkcs12.bundle",
            "is not a PKCS#12",
        ),
        (
            ClientCertificate(
                pkcs12=Pkcs12Material(bundle=client().bundle("pass"), password="wrong")
            ),
            "pkcs12.bundle",
            "is not a PKCS#12",
        ),
    ],
)
def test_bad_ones(message: ClientCertificate, field: str, text: str) -> None:
    """
    The field is named and what it must be.
    """
    found_field, found_text = problem(message)
    assert found_field == field
    assert text in found_text


def test_certificate_for_everything_passes() -> None:
    """
    A certificate that does not say what it is for is good for clients.
    """
    message = in_pem(issue("any", root(), usage=None), root())
    assert isinstance(read(message, WITHIN).chain[0], x509.Certificate)

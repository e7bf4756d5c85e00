"""
What TLS files must hold.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from service_runtime.tls.material import (
    DAY_SECONDS,
    Material,
    Purpose,
    TlsFiles,
    TlsInvalidError,
    check_content,
    read_content,
)
from tests.support.authority import NOW, Authority
from tests.support.certificates import Issued

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def checked(files: TlsFiles, *purposes: Purpose) -> Material:
    """
    Read and check files.
    """
    return check_content(files, read_content(files), purposes)


def refusal(files: TlsFiles, *purposes: Purpose) -> str:
    """
    Return why files are refused.
    """
    with pytest.raises(TlsInvalidError) as raised:
        checked(files, *purposes)
    return str(raised.value)


@pytest.mark.parametrize(
    "usages", [(SERVER, CLIENT), (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), None]
)
def test_certificate_for_both_purposes(
    tmp_path: Path, usages: tuple[ObjectIdentifier, ...] | None
) -> None:
    """
    A certificate that names both usages, or does not say, serves and calls.
    """
    authority = Authority(tmp_path)
    end = NOW + timedelta(days=10)
    material = checked(
        authority.files(authority.issue("a", usages=usages, end=end)), "server", "client"
    )

    left = material.seconds_left(NOW.timestamp()) / DAY_SECONDS
    assert 9.9 < left <= 10


@pytest.mark.parametrize(
    ("usage", "purpose", "lacks"),
    [(SERVER, "client", "clientAuth"), (CLIENT, "server", "serverAuth")],
)
def test_certificate_of_another_purpose(
    tmp_path: Path, usage: ObjectIdentifier, purpose: Purpose, lacks: str
) -> None:
    """
    A usage that is missing is named at start, not found by callers that cannot connect.
    """
    authority = Authority(tmp_path)
    files = authority.files(authority.issue("a", usages=(usage,)))

    assert refusal(files, "server", "client") == (
        f"{files.certificate} is used as a {purpose} certificate, but its extended key usage lacks"
        f" {lacks}: a service needs a certificate with serverAuth and clientAuth"
    )


def test_parts_must_belong_together(tmp_path: Path) -> None:
    """
    A key of another certificate, and files that hold something else, are named.
    """
    authority = Authority(tmp_path)
    files = authority.files(authority.issue("a"))
    other: Issued = authority.issue("b")

    files.key.write_text(other.key_pem())
    assert refusal(files) == f"{files.key} is not the key of the certificate {files.certificate}"
    files.key.write_text(other.key_pem("password"))
    assert refusal(files) == f"{files.key} must hold a private key in PEM, not encrypted"
    files.certificate.write_text("nothing")
    assert refusal(files) == f"{files.certificate} must hold certificates in PEM"
    files.certificate.unlink()
    assert refusal(files) == f"{files.certificate} cannot be read (No such file or directory)"


def test_list_of_another_authority_is_refused(tmp_path: Path) -> None:
    """
    Only the authority itself revokes its certificates.
    """
    authority, stranger = Authority(tmp_path), Authority(tmp_path)
    caller = authority.issue("caller")
    files = authority.files(authority.issue("a"), revoked=stranger.revoking(caller))

    assert "must hold lists signed by the authority" in refusal(files)
    assert files.revoked is not None
    files.revoked.write_text("nothing")
    assert refusal(files).startswith(f"{files.revoked} must hold lists of revoked certificates")


def test_revoked_certificates_are_known(tmp_path: Path) -> None:
    """
    A certificate of the list is revoked; others, and a caller without one, are not.
    """
    authority = Authority(tmp_path)
    bad, good = authority.issue("bad"), authority.issue("good")
    lists = authority.revoking(bad) + authority.revoking()
    revocations = checked(authority.files(good, revoked=lists)).revocations

    for _ in range(2):
        assert revocations.has(bad.chain_pem.encode())
        assert not revocations.has(good.chain_pem.encode())
    assert not revocations.has(b"")
    assert revocations.has(b"no certificate")
    assert not checked(authority.files(good)).revocations.has(bad.chain_pem.encode())

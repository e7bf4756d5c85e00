"""
Causes of TLS failures, as OpenSSL names the errors.
"""

from __future__ import annotations

import ssl
from typing import cast

import pytest

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.tls.causes import (
    RenegotiatedError,
    tls_cause,
    tls_failure,
)
from dispatch_service.egress.tls.contexts import build_context
from dispatch_service.egress.tls.observed import MAX_RENEGOTIATIONS, Handshake, ObservedTls
from shipedge.webhooks.failures.tls_causes import TlsCause
from tests.support.receivers import HOST

REQUIRED, REFUSED = TlsCause.CLIENT_CERTIFICATE_REQUIRED, TlsCause.CLIENT_CERTIFICATE_REFUSED


def error(reason: str | None, text: str = "[SSL] some error (_ssl.c:1006)") -> ssl.SSLError:
    """
    Return an error of OpenSSL.
    """
    made = ssl.SSLError(1, text)
    # It is None where Python does not know the name.
    made.reason = cast(str, reason)
    return made


CLOSED = [None, ConnectionResetError(), BrokenPipeError(), ssl.SSLEOFError(8, "EOF")]
ALERTS = ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"]


@pytest.mark.parametrize("ended_by", [*CLOSED, error("SSLV3_ALERT_HANDSHAKE_FAILURE")])
def test_end_without_a_word_about_certificates(ended_by: Exception | None) -> None:
    """
    What it means depends on whether the server asked for a certificate.
    """
    assert tls_cause(ended_by, asked=True, has_certificate=False) is REQUIRED
    assert tls_cause(ended_by, asked=True, has_certificate=True) is REFUSED
    not_asked = tls_cause(ended_by, asked=False, has_certificate=False)
    assert not_asked in (TlsCause.CLOSED, TlsCause.NO_COMMON_CIPHER)
    assert (not_asked is TlsCause.CLOSED) == (ended_by in CLOSED)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("alert", ALERTS)
def test_alerts_about_certificates(alert: str, asked: bool) -> None:
    """
    They mean the same whichever of them a server chooses.
    """
    assert tls_cause(error(alert), asked=asked, has_certificate=False) is REQUIRED
    assert tls_cause(error(alert), asked=asked, has_certificate=True) is REFUSED


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (error("WRONG_VERSION_NUMBER"), TlsCause.NOT_TLS),
        (error("TLSV1_ALERT_PROTOCOL_VERSION"), TlsCause.PROTOCOL_VERSION),
        (error("UNSUPPORTED_PROTOCOL"), TlsCause.PROTOCOL_VERSION),
        (error("TLSV1_ALERT_INSUFFICIENT_SECURITY"), TlsCause.NO_COMMON_CIPHER),
        (
            error(None, "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)"),
            TlsCause.NO_COMMON_PROTOCOL,
        ),
        (error("SOMETHING_NEW"), TlsCause.OTHER),
        (error(None, "words without a form"), TlsCause.OTHER),
        (OSError("no error of TLS"), TlsCause.OTHER),
        (RenegotiatedError("again"), TlsCause.RENEGOTIATION),
    ],
)
def test_causes(raised: Exception, cause: TlsCause) -> None:
    """
    A client certificate that was asked for changes nothing where the error has a reason.
    """
    for asked in (False, True):
        assert tls_cause(raised, asked=asked, has_certificate=False) is cause


def test_certificate_errors_have_the_words_of_openssl() -> None:
    """
    The text names the cause, and says what OpenSSL says.
    """
    refused = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] failed")
    refused.verify_code, refused.verify_message = 10, "certificate has expired"

    failed = tls_failure(refused, asked=False, has_certificate=False)

    assert failed.kind is FailureKind.CERTIFICATE
    assert failed.error == (
        "the server's certificate has expired: certificate has expired;"
        " renew the server's certificate (expired)"
    )


class Renegotiating(ObservedTls):
    """
    A connection whose server asks for a handshake before each read.
    """

    handshakes = 0

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes:
        """
        Return what differs from handshake to handshake.
        """
        del cb_type
        return str(self.handshakes).encode()


def test_renegotiations_are_limited() -> None:
    """
    For each request the one that asks for a client certificate is allowed; a further one ends the
    connection.
    """
    context = build_context()
    context.sslobject_class = Renegotiating
    tls = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST)
    assert isinstance(tls, Renegotiating)
    tls._is_counted, tls._finished = True, b"0"
    tls.handshake = Handshake()

    for request in range(3):
        tls.handshake.renegotiations = 0
        for tls.handshakes in range(request, request + MAX_RENEGOTIATIONS + 1):
            with pytest.raises(ssl.SSLWantReadError):
                tls.read()
    tls.handshakes += 1

    with pytest.raises(RenegotiatedError):
        tls.read()

"""
Why TLS failed, from a closed list: the same cause each time the same happens, whichever the version
of TLS and whenever the server says so.
"""

from __future__ import annotations

import re
import ssl

from dispatch_service.egress.requests import ExchangeFailedError
from shipedge.webhooks.failures.tls_causes import TlsCause

# Alerts in which a server refuses the client's certificate, or misses one. Servers choose between
# them freely, so they all mean the same.
_CERTIFICATE_ALERTS = (
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_NO_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_DECRYPT_ERROR",
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_BAD_CERTIFICATE_HASH_VALUE",
    "TLSV1_CERTIFICATE_UNOBTAINABLE",
)

# A server that has not asked for a certificate means that there is no common cipher.
_HANDSHAKE_FAILURE = "SSLV3_ALERT_HANDSHAKE_FAILURE"
_WORDS = re.compile(r"\[SSL\] ([a-z0-9 ]+) \(")
_REFUSED = TlsCause.CLIENT_CERTIFICATE_REFUSED

_REASONS: dict[str, TlsCause] = {
    "HTTPS_PROXY_REQUEST": TlsCause.NOT_TLS,
    "HTTP_REQUEST": TlsCause.NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": TlsCause.NOT_TLS,
    "RECORD_LAYER_FAILURE": TlsCause.NOT_TLS,
    "UNKNOWN_PROTOCOL": TlsCause.NOT_TLS,
    "WRONG_VERSION_NUMBER": TlsCause.NOT_TLS,
    "NO_PROTOCOLS_AVAILABLE": TlsCause.PROTOCOL_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": TlsCause.PROTOCOL_VERSION,
    "UNSUPPORTED_PROTOCOL": TlsCause.PROTOCOL_VERSION,
    "UNSUPPORTED_SSL_VERSION": TlsCause.PROTOCOL_VERSION,
    "VERSION_TOO_LOW": TlsCause.PROTOCOL_VERSION,
    "WRONG_SSL_VERSION": TlsCause.PROTOCOL_VERSION,
    "BAD_ECPOINT": TlsCause.NO_COMMON_CIPHER,
    "DH_KEY_TOO_SMALL": TlsCause.NO_COMMON_CIPHER,
    "NO_CIPHERS_AVAILABLE": TlsCause.NO_COMMON_CIPHER,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": TlsCause.NO_COMMON_CIPHER,
    "UNKNOWN_CIPHER_RETURNED": TlsCause.NO_COMMON_CIPHER,
    "WRONG_CIPHER_RETURNED": TlsCause.NO_COMMON_CIPHER,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": TlsCause.NO_COMMON_PROTOCOL,
    "TLSV1_UNRECOGNIZED_NAME": TlsCause.UNRECOGNIZED_NAME,
    "TLSV1_ALERT_INTERNAL_ERROR": TlsCause.SERVER_ERROR,
    "UNEXPECTED_EOF_WHILE_READING": TlsCause.CLOSED,
}

_VERIFY_CODES: dict[int, TlsCause] = {
    2: TlsCause.UNKNOWN_AUTHORITY,
    9: TlsCause.NOT_YET_VALID,
    10: TlsCause.EXPIRED,
    18: TlsCause.UNKNOWN_AUTHORITY,
    19: TlsCause.UNKNOWN_AUTHORITY,
    20: TlsCause.UNKNOWN_AUTHORITY,
    21: TlsCause.UNKNOWN_AUTHORITY,
    23: TlsCause.REVOKED,
    27: TlsCause.UNKNOWN_AUTHORITY,
    62: TlsCause.HOSTNAME,
    64: TlsCause.HOSTNAME,
    66: TlsCause.WEAK_CERTIFICATE,
    67: TlsCause.WEAK_CERTIFICATE,
    68: TlsCause.WEAK_CERTIFICATE,
}


class RenegotiatedError(ssl.SSLError):
    """
    The server has asked for another handshake of the same connection too often.
    """


def tls_cause(error: Exception | None, *, asked: bool, has_certificate: bool) -> TlsCause:
    """
    Return the cause of a failed handshake, or of a connection that ended with an alert or, if
    *error* is None, without one.

    *asked* tells whether the server asked for a client certificate, *has_certificate* whether
    there is one for it.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, TlsCause.INVALID_CERTIFICATE)
    if isinstance(error, RenegotiatedError):
        return TlsCause.RENEGOTIATION
    reason = _reason(error)
    is_closed = error is None or isinstance(error, (ConnectionError, ssl.SSLEOFError))
    # Some servers close without an alert, or their alert is lost with the connection.
    if reason in _CERTIFICATE_ALERTS or (asked and (is_closed or reason == _HANDSHAKE_FAILURE)):
        return _REFUSED if has_certificate else TlsCause.CLIENT_CERTIFICATE_REQUIRED
    if reason == _HANDSHAKE_FAILURE:
        return TlsCause.NO_COMMON_CIPHER
    if is_closed:
        return TlsCause.CLOSED
    return _REASONS.get(reason, TlsCause.OTHER)


def _reason(error: Exception | None) -> str:
    """
    Return OpenSSL's name of an error; nothing if it is none of OpenSSL.
    """
    if not isinstance(error, ssl.SSLError):
        return ""
    # Errors that are not made by OpenSSL lack it.
    if reason := getattr(error, "reason", None):
        return str(reason)
    # Python does not know the names of all, but their texts, which are the names in words.
    found = _WORDS.match(str(error.args[-1]))
    return found[1].replace(" ", "_").upper() if found else ""


def tls_failure(
    error: Exception | None, *, asked: bool, has_certificate: bool, detail: str = ""
) -> ExchangeFailedError:
    """
    Return the failure of an exchange whose TLS failed; *detail* is for the operator's log.

    The other arguments are those of `tls_cause`.
    """
    cause = tls_cause(error, asked=asked, has_certificate=has_certificate)
    why = ""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
    return ExchangeFailedError(cause, detail, why=why)

"""
Causes of attempts that failed in TLS: the same each time the same happens, whichever the version
of TLS and whenever the server says so.
"""

from __future__ import annotations

from enum import unique

from shipedge.webhooks.failures.rows import FailureCause, Row

_SERVER_LOG = "look at the server's log at the time of the attempt"
_RENEW = "renew the server's certificate"


@unique
class TlsCause(FailureCause):
    """
    A cause, from a closed list.
    """

    NOT_TLS = Row(
        "TLS",
        "the port does not speak TLS",
        "look at the port of the URL, or at its https://",
    )
    PROTOCOL_VERSION = Row(
        "TLS", "the server offers no TLS 1.2 or later", "switch TLS 1.2 or 1.3 on at the server"
    )
    NO_COMMON_CIPHER = Row(
        "TLS",
        "the server accepts none of our ciphers",
        "allow the usual ciphers of TLS 1.2 or 1.3 at the server",
    )
    NO_COMMON_PROTOCOL = Row(
        "TLS",
        "the server does not accept HTTP/1.1",
        "have the server offer HTTP/1.1 beside HTTP/2 (ALPN)",
    )
    CLIENT_CERTIFICATE_REQUIRED = Row(
        "TLS",
        "the server asks for a client certificate, and the webhook has none",
        "give the webhook a client certificate that the server knows",
    )
    CLIENT_CERTIFICATE_REFUSED = Row(
        "TLS",
        "the server does not accept the webhook's client certificate",
        "look at the authorities that the server knows, and at the certificate's dates",
    )
    UNRECOGNIZED_NAME = Row(
        "TLS",
        "the server does not know the host name of the URL",
        "look at the host of the URL, and at the names that the server is set up for",
    )
    SERVER_ERROR = Row("TLS", "the server reported an error of its own", _SERVER_LOG)
    CLOSED = Row(
        "TLS",
        "the server closed the connection during the TLS handshake",
        "look at the server's log, and at firewalls between",
    )
    RENEGOTIATION = Row(
        "TLS",
        "the server asked for another TLS handshake too often",
        "set the server up to ask once for each request",
    )
    OTHER = Row("TLS", "the TLS connection failed", _SERVER_LOG)

    UNKNOWN_AUTHORITY = Row(
        "CERTIFICATE",
        "the server's certificate is of no known authority, or an intermediate one is not sent",
        "have the server send its whole chain of certificates, of a public authority",
    )
    EXPIRED = Row("CERTIFICATE", "the server's certificate has expired", _RENEW)
    NOT_YET_VALID = Row(
        "CERTIFICATE",
        "the server's certificate is not valid yet",
        "look at the dates of the server's certificate",
    )
    HOSTNAME = Row(
        "CERTIFICATE",
        "the server's certificate is for another host name",
        "look at the host of the URL, and at the names in the server's certificate",
    )
    REVOKED = Row(
        "CERTIFICATE", "the server's certificate was revoked", f"{_RENEW}, at its authority"
    )
    WEAK_CERTIFICATE = Row(
        "CERTIFICATE",
        "the server's certificate has a key or signature that is too weak",
        f"{_RENEW}, with RSA of 2048 bits or more, or ECDSA, and SHA-256",
    )
    INVALID_CERTIFICATE = Row(
        "CERTIFICATE",
        "the server's certificate is refused",
        f"{_RENEW}, as one for servers",
    )
